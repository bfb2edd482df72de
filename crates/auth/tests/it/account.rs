//! Users: how they are made, what they do with their own account, and who may read them.
use proto::auth::v1::{self as wire, membership::Role, user_service_client::UserServiceClient};
use testkit::holding_until;
use tonic::Code;

use crate::{
    Platform, assert_refused, exchange, new_user, password_of, platform, refresh_grant, refusal, sign_in, token,
    try_password, users,
};

#[tokio::test]
async fn a_user_is_made_with_a_good_password_and_a_free_address_only() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let mut client = users(&platform.system, &owner).await;
    let good = new_user(&platform.organization, "bob", Role::Editor);
    let with_user = |change: &dyn Fn(&mut wire::User)| {
        let mut request = good.clone();
        change(request.user.as_mut().expect("set"));
        request
    };
    for (request, reason) in [
        (wire::CreateUserRequest { password: "14 characters.".to_owned(), ..good.clone() }, "PASSWORD_UNFIT"),
        (
            wire::CreateUserRequest { password: "correct horse battery staple".to_owned(), ..good.clone() },
            "PASSWORD_UNFIT",
        ),
        (wire::CreateUserRequest { password: "Analytical-Engines!".to_owned(), ..good.clone() }, "PASSWORD_UNFIT"),
        (wire::CreateUserRequest { password: "bob@example.com".to_owned(), ..good.clone() }, "PASSWORD_UNFIT"),
        (wire::CreateUserRequest { password: "é".repeat(513), ..good.clone() }, "PASSWORD_UNFIT"),
        (wire::CreateUserRequest { role: 9, ..good.clone() }, "FIELD_INVALID"),
        (wire::CreateUserRequest { user_id: "BOB".to_owned(), ..good.clone() }, "FIELD_INVALID"),
        (wire::CreateUserRequest { user: None, ..good.clone() }, "EMAIL_INVALID"),
        (with_user(&|user| user.email = "bob\0@example.com".to_owned()), "EMAIL_INVALID"),
        (with_user(&|user| user.display_name = "a\u{1b}[31m".to_owned()), "DISPLAY_NAME_INVALID"),
    ] {
        assert_refused(client.create_user(request).await, Code::InvalidArgument, reason);
    }
    let id = "00000000000000000000000007";
    let made = client
        .create_user(wire::CreateUserRequest { user_id: id.to_owned(), ..good.clone() })
        .await
        .expect("good")
        .into_inner();
    assert_eq!((made.name, made.managing_organization), (format!("users/{id}"), platform.organization.clone()));
    let other = new_user(&platform.organization, "carol", Role::Editor);
    assert_refused(
        client.create_user(wire::CreateUserRequest { user_id: id.to_owned(), ..other }).await,
        Code::AlreadyExists,
        "RESOURCE_EXISTS",
    );
    assert_refused(
        client.create_user(with_user(&|user| user.email = "BOB@EXAMPLE.COM".to_owned())).await,
        Code::AlreadyExists,
        "EMAIL_TAKEN",
    );
    assert_eq!(
        platform.system.sql("select count(*) from auth.users").await[0][0].as_deref(),
        Some("2"),
        "nothing half made"
    );
    let stored = platform.system.sql("select hash from auth.passwords").await;
    assert!(stored.iter().all(|row| row[0].as_deref().expect("set").starts_with("$argon2id$v=19$m=19456,t=2,p=1$")));
}

#[tokio::test]
async fn a_changed_password_ends_all_other_sessions_and_the_old_password() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, here) = platform.signed_user(&owner, "bob", Role::Editor).await;
    let there = sign_in(&platform.system, &bob.email, &password_of("bob"), "").await;
    let pending = crate::code(&platform.system, &bob.email, &password_of("bob"), "").await;
    let mut client = users(&platform.system, &here).await;
    let request = |current: &str, new: &str| wire::ChangePasswordRequest {
        name: "users/me".to_owned(),
        current_password: current.to_owned(),
        new_password: new.to_owned(),
    };
    let refused = client.change_password(request("wrong but long enough", &password_of("new"))).await;
    assert_refused(refused, Code::PermissionDenied, "SIGN_IN_REFUSED");
    let refused = client.change_password(request(&password_of("bob"), "bob@example.com")).await;
    assert_refused(refused, Code::InvalidArgument, "PASSWORD_UNFIT");
    exchange(&platform.system, &there.access).await.expect("nothing has changed yet");
    client.change_password(request(&password_of("bob"), &password_of("new"))).await.expect("changed");
    exchange(&platform.system, &here.access).await.expect("the session that changed it goes on");
    assert_refused(exchange(&platform.system, &there.access).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    for grant in [refresh_grant(&there.refresh), crate::code_grant(&pending)] {
        assert_eq!(token(&platform.system, grant).await.err().as_deref(), Some("invalid_grant"));
    }
    assert_refused(
        try_password(&platform.system, &bob.email, &password_of("bob")).await,
        Code::Unauthenticated,
        "SIGN_IN_REFUSED",
    );
    try_password(&platform.system, &bob.email, &password_of("new")).await.expect("the new one");
}

#[tokio::test]
async fn a_reset_that_comes_while_the_password_is_changed_stands() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let (bob, signed) = platform.signed_user(&owner, "bob", Role::Viewer).await;
    platform.user(&owner, "carol", Role::Viewer).await;
    let mut client = users(system, &signed).await;
    let change = wire::ChangePasswordRequest {
        name: "users/me".to_owned(),
        current_password: password_of("bob"),
        new_password: password_of("new"),
    };
    let of = |name: &str| format!("user_id = (select user_id from auth.users where email_key = '{name}@example.com')");
    // As a reset does, while the change, which knows the password of before, waits for it.
    let reset = format!(
        "begin; update auth.passwords set hash = (select hash from auth.passwords where {}) where {}; {}; commit",
        of("carol"),
        of("bob"),
        holding_until(
            "exists (select 1 from pg_locks w where not w.granted and pg_backend_pid() = any(pg_blocking_pids(w.pid)))"
        )
    );
    let (changed, _) = tokio::join!(client.change_password(change), system.sql(&reset));
    assert_refused(changed, Code::PermissionDenied, "SIGN_IN_REFUSED");
    let refused = try_password(system, &bob.email, &password_of("new")).await;
    assert_refused(refused, Code::Unauthenticated, "SIGN_IN_REFUSED");
    try_password(system, &bob.email, &password_of("carol")).await.expect("what the reset has chosen");
}

#[tokio::test]
async fn wrong_current_passwords_count_for_the_session_that_guesses() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let (bob, signed) = platform.signed_user(&owner, "bob", Role::Editor).await;
    let mut client = users(&platform.system, &signed).await;
    let request = wire::ChangePasswordRequest {
        name: bob.name.clone(),
        current_password: "wrong but long enough".to_owned(),
        new_password: password_of("new"),
    };
    for _ in 0..5 {
        assert_refused(client.change_password(request.clone()).await, Code::PermissionDenied, "SIGN_IN_REFUSED");
    }
    let right = wire::ChangePasswordRequest { current_password: password_of("bob"), ..request.clone() };
    let locked = client.change_password(right.clone()).await;
    assert_refused(locked, Code::PermissionDenied, "SIGN_IN_REFUSED");
    // Whoever has stolen the session shuts nobody out with it, and whoever guesses elsewhere nobody who is signed in.
    let another = sign_in(system, &bob.email, &password_of("bob"), "").await;
    for _ in 0..5 {
        try_password(system, &bob.email, "wrong but long enough").await.expect_err("wrong");
    }
    let mut another = users(system, &another).await;
    another.change_password(right.clone()).await.expect("his own");
    try_password(system, &bob.email, &password_of("new")).await.expect("a new password begins anew");
    let back = wire::ChangePasswordRequest {
        current_password: password_of("new"),
        new_password: password_of("third"),
        ..right
    };
    for _ in 0..4 {
        assert_refused(another.change_password(request.clone()).await, Code::PermissionDenied, "SIGN_IN_REFUSED");
    }
    another.change_password(back).await.expect("the session's guesses begin anew with each change");
}

#[tokio::test]
async fn auth_s09_a_session_is_listed_and_ended_by_its_user() {
    let platform = platform().await;
    let (here, there) = (platform.owner().await, platform.owner().await);
    let mut client = users(&platform.system, &here).await;
    let list = wire::ListSessionsRequest { parent: "users/me".to_owned(), ..wire::ListSessionsRequest::default() };
    let sessions = client.list_sessions(list.clone()).await.expect("his own").into_inner().sessions;
    assert_eq!(sessions.len(), 2);
    assert!(sessions.iter().all(|session| session.client == "workos-cli" && session.name.starts_with(&platform.owner)));
    let alias = sessions[1].name.replace(&platform.owner, "users/me");
    for name in [&alias, &sessions[1].name] {
        client.delete_session(wire::DeleteSessionRequest { name: name.clone() }).await.expect("ended, or ended before");
    }
    assert_refused(exchange(&platform.system, &there.access).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    exchange(&platform.system, &here.access).await.expect("the other goes on");
    assert_eq!(client.list_sessions(list).await.expect("his own").into_inner().sessions.len(), 1);
}

#[tokio::test]
async fn auth_s08_a_held_internal_token_dies_with_its_session() {
    let platform = platform().await;
    let signed = platform.owner().await;
    let mut client = users(&platform.system, &signed).await;
    let list = wire::ListSessionsRequest { parent: "users/me".to_owned(), ..wire::ListSessionsRequest::default() };
    let name = client.list_sessions(list.clone()).await.expect("his own").into_inner().sessions[0].name.clone();
    client.delete_session(wire::DeleteSessionRequest { name }).await.expect("his own");
    assert_refused(client.list_sessions(list).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
}

#[tokio::test]
async fn nobody_reads_or_changes_another_persons_account() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, signed) = platform.signed_user(&owner, "bob", Role::Viewer).await;
    let session = own_session(&platform, &owner).await;
    for (victim, by) in [(&platform.owner, &signed), (&bob.name, &owner)] {
        let mut client = users(&platform.system, by).await;
        let answers = [
            client.get_user(wire::GetUserRequest { name: victim.clone() }).await.map(drop),
            client
                .list_sessions(wire::ListSessionsRequest { parent: victim.clone(), ..Default::default() })
                .await
                .map(drop),
            client
                .list_own_memberships(wire::ListOwnMembershipsRequest { parent: victim.clone(), ..Default::default() })
                .await
                .map(drop),
            client
                .delete_session(wire::DeleteSessionRequest {
                    name: format!("{victim}/sessions/00000000000000000000000001"),
                })
                .await
                .map(drop),
            client
                .change_password(wire::ChangePasswordRequest { name: victim.clone(), ..Default::default() })
                .await
                .map(drop),
        ];
        for answer in answers {
            assert_refused(answer, Code::PermissionDenied, "ACCESS_DENIED");
        }
    }
    let stolen = session.replace(&platform.owner, "users/me");
    users(&platform.system, &signed)
        .await
        .delete_session(wire::DeleteSessionRequest { name: stolen })
        .await
        .expect("no session of his");
    exchange(&platform.system, &owner.access).await.expect("the session of the owner is untouched");
}

async fn own_session(platform: &Platform, signed: &crate::Signed) -> String {
    let list = wire::ListSessionsRequest { parent: "users/me".to_owned(), ..wire::ListSessionsRequest::default() };
    let answer = users(&platform.system, signed).await.list_sessions(list).await;
    answer.expect("his own").into_inner().sessions[0].name.clone()
}

#[tokio::test]
async fn workloads_read_active_members_in_the_order_asked() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Viewer).await;
    let unknown = "users/00000000000000000000000001".to_owned();
    let request = wire::BatchReadUsersRequest {
        organization: platform.organization.clone(),
        names: vec![bob.name.clone(), unknown, platform.owner.clone(), bob.name.clone()],
    };
    let client = |workload: &str| UserServiceClient::new(platform.system.as_workload(workload).channel("auth"));
    let found =
        client("notification").batch_read_users(request.clone()).await.expect("for workloads").into_inner().users;
    let names: Vec<_> = found.iter().map(|user| user.name.as_str()).collect();
    assert_eq!(names, [&bob.name, &platform.owner, &bob.name]);
    let elsewhere =
        wire::BatchReadUsersRequest { organization: platform.system.organization().name(), ..request.clone() };
    assert!(client("workflow").batch_read_users(elsewhere).await.expect("for workloads").into_inner().users.is_empty());
    let many = wire::BatchReadUsersRequest { names: vec![bob.name.clone(); 1001], ..request.clone() };
    assert_refused(client("workflow").batch_read_users(many).await, Code::InvalidArgument, "FIELD_INVALID");
    let refused = client("document").batch_read_users(request.clone()).await.expect_err("not its business");
    assert_eq!(refusal(&refused).0, Code::PermissionDenied);
    let refused = users(&platform.system, &owner).await.batch_read_users(request).await.expect_err("not for people");
    assert_eq!(refusal(&refused).0, Code::PermissionDenied);
}
