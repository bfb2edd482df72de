//! What is created can be read and listed, once for each request id, and by nobody of another organization.
use proto::{
    Role,
    __name__::v1::{
        __Name__, Create__Name__Request, Get__Name__Request, List__Names__Request, __name___service_client::__Name__ServiceClient,
    },
};
use testkit::System;

fn creation(parent: String, display_name: &str, request_id: &str) -> Create__Name__Request {
    let new = __Name__ { display_name: display_name.to_owned(), ..Default::default() };
    Create__Name__Request { parent, __name__: Some(new), request_id: request_id.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_created_is_read_and_listed_page_by_page() {
    let system = System::start(&[&__name__::SERVICE]).await;
    let organization = system.organization();
    let mut client = __Name__ServiceClient::new(organization.user(Role::Editor).channel("__name__"));
    let mut names = Vec::new();
    for display_name in ["first", "second", "third"] {
        let new = client.create___name__(creation(organization.name(), display_name, "")).await.expect("it is valid");
        names.push(new.into_inner().name);
    }
    let first = client.get___name__(Get__Name__Request { name: names[0].clone() }).await.expect("it is there");
    assert_eq!(first.into_inner().display_name, "first");
    let (mut listed, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = List__Names__Request { parent: organization.name(), page_size: 2, page_token };
        let page = client.list___names__(request).await.expect("an editor may").into_inner();
        listed.extend(page.__names__.into_iter().map(|found| found.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(listed, names);
    assert_eq!(system.published("__name__", "__name__.created").await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_with_one_request_id_makes_one() {
    let system = System::start(&[&__name__::SERVICE]).await;
    let organization = system.organization();
    let mut client = __Name__ServiceClient::new(organization.user(Role::Editor).channel("__name__"));
    let request = creation(organization.name(), "once", "6f4c1f6e-2a53-4f0e-9a57-6f6f2f1f7a11");
    let first = client.create___name__(request.clone()).await.expect("it is valid").into_inner();
    let second = client.create___name__(request).await.expect("it is a repeat").into_inner();
    assert_eq!(first, second);
    let refused = client.create___name__(creation(organization.name(), "", "")).await.expect_err("it has no name");
    assert_eq!(api::Error::from_status(&refused).reason(), "DISPLAY_NAME_INVALID");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_organization_hears_the_same_from_every_method() {
    let system = System::start(&[&__name__::SERVICE]).await;
    assert_eq!(testkit::conformance::foreign_tenant(&system, &["__name__"]).await, []);
}
