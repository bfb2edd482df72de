//! Everything that is stored of one tenant, as one digest for each table.
use std::{collections::BTreeMap, time::Duration};

use testkit::eventually_within;

use super::stock::Tenant;
use crate::platform::Site;

/// Tables and columns whose rows change by themselves: what is sent, heard, chained.
const BY_ITSELF: [&str; 2] = ["processed_event", "epoch"];

/// Digest of a tenant's rows by table.
pub(super) type Rows = BTreeMap<String, String>;

/// Reads the tenant's rows in every table of every service.
pub(super) async fn rows(site: &Site, tenant: &Tenant) -> Rows {
    let tables = "select c.table_schema || '.' || c.table_name, bool_or(c.column_name = 'organization_id')::text
        from information_schema.columns c join information_schema.tables t using (table_schema, table_name)
        where t.table_type = 'BASE TABLE' and c.table_schema not in ('pg_catalog', 'information_schema')
        group by 1 order by 1";
    let uuid = |name: &str| name.rsplit('/').next().and_then(|id| id.parse::<api::Id>().ok()).expect("an id").uuid();
    let organization = uuid(&tenant.organization);
    let ids: Vec<_> =
        tenant.names["users/*"].iter().chain([&tenant.organization]).map(|name| uuid(name).to_string()).collect();
    let named = format!("t::text ~ '{}'", ids.join("|"));
    let mut parts = Vec::new();
    for table in site.sql(tables).await {
        let [Some(name), Some(has)] = &table[..] else { continue };
        if BY_ITSELF.iter().any(|end| name.ends_with(end)) {
            continue;
        }
        let filter = if has == "true" {
            format!("(t.organization_id = '{organization}' or t.organization_id is null and {named})")
        } else {
            named.clone()
        };
        parts.push(format!("select '{name}', count(*) || ' rows ' || md5(coalesce(string_agg(t::text, '|' order by t::text), '')) from {name} t where {filter}"));
    }
    assert!(parts.len() > 50, "only {} tables", parts.len());
    let read = site.sql(&parts.join(" union all ")).await;
    read.into_iter().map(|row| (row[0].clone().unwrap_or_default(), row[1].clone().unwrap_or_default())).collect()
}

/// The rows once nothing moves any more.
pub(super) async fn settled(site: &Site, tenant: &Tenant) -> Rows {
    let before = std::sync::Mutex::new(Rows::new());
    let look = || async {
        let unsent = site.count("select (select count(*) from auth.outbox_event where sent_at is null) + (select count(*) from document.outbox_event where sent_at is null) + (select count(*) from workflow.outbox_event where sent_at is null) + (select count(*) from auth.audit_pending)").await;
        let now = rows(site, tenant).await;
        let same = std::mem::replace(&mut *before.lock().expect("no panic"), now.clone()) == now;
        if same && unsent == 0 { Ok(now) } else { Err(format!("{unsent} events on their way")) }
    };
    eventually_within(Duration::from_secs(60), "the tenant is quiet", look).await
}

/// Tables in which something is different.
pub(super) fn changed(before: &Rows, after: &Rows) -> Vec<String> {
    let tables = before.keys().chain(after.keys()).filter(|table| before.get(*table) != after.get(*table));
    let mut found: Vec<_> = tables.cloned().collect();
    found.dedup();
    found
}
