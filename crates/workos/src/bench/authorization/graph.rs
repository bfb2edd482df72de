//! The relations that `bench auth` asks about, for all sides the same: a million, in three levels of resources and of groups.
//!
//! Everything has a number from one on, and who is tied to what follows from numbers alone. So each database makes the rows itself, and
//! [`reads`] knows every answer without asking anybody.

/// Users, none of whom has a role.
pub(crate) const USERS: usize = 20_000;
/// The first 900 hold users, the next 90 hold those, the last 10 hold these.
pub(crate) const GROUPS: usize = 1000;
/// Pages lie in 10,000 folders, folders in 100 spaces.
pub(crate) const PAGES: usize = 480_000;

/// The rows, one number at a time: kind and number of an object, what ties it, kind and number of who or what is tied to it.
pub(crate) const EDGES: &str = "create temp table edge as \
     with share as (select array['viewer', 'commenter', 'editor', 'owner'] as names), \
       g as (select generate_series(1, 990) as n), u as (select generate_series(1, 20000) as n), \
       s as (select generate_series(1, 100) as n), f as (select generate_series(1, 10000) as n), \
       p as (select generate_series(1, 480000) as n) \
     select 'group' as kind, case when n <= 900 then 900 + n % 90 + 1 else 990 + n % 10 + 1 end as number, 'member' as tie, \
       'group' as subject_kind, n as subject from g \
     union all select distinct 'group', k, 'member', 'user', n from u cross join lateral (values (n % 900 + 1), (n * 7 % 900 + 1)) t(k) \
     union all select 'folder', n, 'parent', 'space', n % 100 + 1 from f \
     union all select 'page', n, 'parent', 'folder', n % 10000 + 1 from p \
     union all select 'page', n, names[n % 4 + 1], 'user', n * 13 % 20000 + 1 from p, share \
     union all select 'folder', n, names[n % 4 + 1], 'group', n % 900 + 1 from f, share \
     union all select 'folder', n, names[n % 4 + 1], 'user', n * 3 % 20000 + 1 from f, share \
     union all select 'space', n, 'viewer', 'group', 990 + n % 10 + 1 from s";

/// A user may read a page: he, or a group that he is in, has a relation to it, to its folder or to its space.
pub(crate) fn reads(user: usize, page: usize) -> bool {
    let folder = page % 10_000 + 1;
    let groups = groups_of(user);
    page * 13 % USERS + 1 == user
        || folder * 3 % USERS + 1 == user
        || groups.contains(&(folder % 900 + 1))
        || groups.contains(&(990 + (folder % 100 + 1) % 10 + 1))
}

/// The groups that a user is in, those around them included.
fn groups_of(user: usize) -> Vec<usize> {
    let mut groups = vec![user % 900 + 1, user * 7 % 900 + 1];
    for level in [900, 990] {
        let of_level = groups.iter().filter(|group| (level == 900) == (**group <= 900));
        let found: Vec<usize> = of_level.map(|group| around(*group)).collect();
        groups.extend(found);
    }
    groups
}

fn around(group: usize) -> usize {
    if group <= 900 { 900 + group % 90 + 1 } else { 990 + group % 10 + 1 }
}

/// What is asked under a number: a user and a page. Every fifth is a page that he has a relation to himself.
pub(crate) fn question(index: usize) -> (usize, usize) {
    let page = mixed(index + 1) as usize % PAGES + 1;
    if index.is_multiple_of(5) { (page * 13 % USERS + 1, page) } else { (asked(index), page) }
}

/// The user who is asked about under a number.
pub(crate) fn asked(index: usize) -> usize {
    (mixed(index + 1) >> 32) as usize % USERS + 1
}

/// Numbers in no order that the graph has (SplitMix64): who is tied to what follows from remainders, and so must not the questions.
pub(crate) fn mixed(index: usize) -> u64 {
    let seed = (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    seed ^ (seed >> 31)
}
