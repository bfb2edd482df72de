//! Shares with roles and with links: who has a role or holds a link does what it may, as long as he does.
use std::time::Duration;

use api::{Code, Principal};
use proto::{
    Role as Built,
    document::v1::{Document, ListDocumentsRequest, grant::Role},
};

use crate::fixture::{Client, Fixture, client, get, new_id, read, refusal, titled, update};

const DENIED: Code = Code::PermissionDenied;

fn retitled(document: &Document) -> Document {
    Document { name: document.name.clone(), ..titled("mine") }
}

async fn titles(documents: &Client, organization: &str) -> Vec<String> {
    let request = ListDocumentsRequest { parent: organization.to_owned(), ..Default::default() };
    let listed = read(documents.clone().list_documents(request).await).expect("everybody may list");
    listed.documents.into_iter().map(|document| document.title).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_with_a_role_is_for_who_has_it_or_a_stronger_one() {
    let fixture = Fixture::new().await;
    let organization = fixture.organization.id();
    let (of_viewers, of_admins) = (fixture.document("of viewers").await, fixture.document("of admins").await);
    fixture.share(&of_viewers, &Principal::Role(Built::Viewer).name(organization), Role::Writer).await;
    fixture.share(&of_admins, &Principal::Role(Built::Admin).name(organization), Role::Keeper).await;
    let (_, members) = fixture.member();
    assert_eq!(refusal(get(&members, &of_viewers.name).await).0, DENIED, "he has no role");
    assert_eq!(titles(&members, &organization.name()).await, Vec::<String>::new());
    let viewers = client(&fixture.organization.user(Built::Viewer));
    update(&viewers, retitled(&of_viewers), &["title"]).await.expect("viewers may write this one");
    assert_eq!(refusal(update(&viewers, retitled(&of_admins), &["title"]).await).0, DENIED, "viewers are no admins");
    // Of somebody else, of whom nothing is held.
    fixture.system.groups_away(true);
    let others = client(&fixture.organization.user(Built::Viewer));
    update(&others, retitled(&of_viewers), &["title"]).await.expect("roles are not asked for");
    let unknown = update(&others, retitled(&of_admins), &["title"]).await;
    assert_eq!(refusal(unknown).0, Code::Unavailable, "a group might give more");
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_b03_a_share_with_a_link_is_for_whoever_holds_it_and_as_long_as_it_is_in_force() {
    let fixture = Fixture::new().await;
    let organization = fixture.organization.id();
    let document = fixture.document("plan").await;
    let (inside, insides) = fixture.member();
    let (outside, outsides) = fixture.member();
    let link = format!("{}/links/{}", organization.name(), new_id());
    fixture.share(&document, &format!("{link}#holder"), Role::Writer).await;
    assert_eq!(refusal(get(&insides, &document.name).await).0, DENIED);
    inside.set_links(&[&link], Duration::from_secs(60));
    outside.set_links(&[&format!("{}/links/{}", organization.name(), new_id())], Duration::from_secs(60));
    update(&insides, retitled(&document), &["title"]).await.expect("shared with his link");
    assert_eq!(titles(&insides, &organization.name()).await, ["mine"]);
    assert_eq!(refusal(get(&outsides, &document.name).await).0, DENIED);
    // Nobody says so, and the owner of links goes on telling it: the time alone ends it.
    fixture.system.clock().advance(Duration::from_secs(61));
    let (insides, outsides) = (client(&inside), client(&outside));
    assert_eq!(refusal(get(&insides, &document.name).await).0, DENIED);
    assert_eq!(titles(&insides, &organization.name()).await, Vec::<String>::new());
    outside.set_links(&[&link], Duration::from_secs(60));
    get(&outsides, &document.name).await.expect("another holder");
    outside.set_links(&[], Duration::ZERO);
    assert_eq!(refusal(get(&outsides, &document.name).await).0, DENIED);
}
