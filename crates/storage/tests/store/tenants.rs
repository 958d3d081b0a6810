//! Workspaces and management keys: what is kept of them, and what is unique in which range.

use std::sync::Arc;

use domain::edit::endpoint;
use domain::edit::management_key::{self, ManagementKeyDraft, OperatorKey};
use domain::edit::workspace::{self, Created, WorkspaceDraft, WorkspacePatch};
use domain::{ManagementKey, Now, Prefixes, Rejection, Scope, Version, Workspace, WorkspaceId};
use storage::{EditError, Store};

use crate::world::*;

fn prefixes(listed: &[&str]) -> Prefixes {
    Prefixes::Listed(listed.iter().map(|prefix| prefix.parse().unwrap()).collect())
}

fn key(store: &Store, credential: &str, scope: Scope) -> ManagementKeyDraft {
    let hash = store.vault().hash(credential.as_bytes());
    ManagementKeyDraft { prefix: credential[..10].into(), hash, name: Some("a laptop".into()), scope }
}

fn try_tenant(store: &Store, name: &str, listed: &[&str]) -> Result<Created, EditError> {
    let draft = WorkspaceDraft {
        name: name.into(),
        onboarded: false,
        org_prefixes: prefixes(listed),
        ed25519_public_key: Some([7; 32]),
    };
    let key = key(store, &format!("mgmt_{name}_0123456789"), Scope::Manage);
    wait(store.edit(NOW, move |cx| workspace::create(cx, draft, key)))
}

fn tenant(store: &Store, name: &str, listed: &[&str]) -> (Arc<Workspace>, Arc<ManagementKey>) {
    let Created { workspace, key } = try_tenant(store, name, listed).unwrap();
    (workspace, key)
}

fn set_prefixes(store: &Store, id: WorkspaceId, org_prefixes: Prefixes) -> Result<Arc<Workspace>, EditError> {
    let patch = WorkspacePatch { org_prefixes: Some(org_prefixes), ..Default::default() };
    wait(store.edit(NOW, move |cx| workspace::update(cx, id, patch)))
}

#[track_caller]
fn refused<T: std::fmt::Debug>(edit: &Result<T, EditError>, with: &str) {
    let said = match edit {
        Err(EditError::Rejected(Rejection::Invalid(said))) => Some(said),
        _ => None,
    };
    assert!(said.is_some_and(|said| said.contains(with)), "{edit:?}");
}

#[test]
fn workspaces_and_their_keys_survive_close_and_reopen() {
    let world = World::new();
    let store = world.open();
    let first = workspace(&store);
    let (acme, its_key) = tenant(&store, "acme", &["acme", "acme.dev"]);
    let (beta, _) = tenant(&store, "beta", &[]);
    let patch = WorkspacePatch {
        name: Some("Beta".into()),
        onboarded: Some(true),
        ed25519_public_key: Some(None),
        org_prefixes: Some(prefixes(&["beta"])),
    };
    let id = beta.id;
    let beta = wait(store.edit(NOW, move |cx| workspace::update(cx, id, patch))).unwrap();
    let (viewer, id) = (key(&store, "mgmt_viewer_012345", Scope::View), acme.id);
    let viewer = wait(store.edit(NOW, move |cx| management_key::mint(cx, id, viewer))).unwrap();
    store.close();

    let store = world.open();
    let found = store.snapshot();
    assert_eq!(found.workspaces_after(Version(1)).collect::<Vec<_>>(), [&acme, &beta]);
    assert_eq!(found.workspaces().next().unwrap().id, first);
    let keys: Vec<_> = found.management_keys_after(acme.id, Version(0)).collect();
    assert_eq!(keys, [&its_key, &viewer]);
    assert_eq!(found.management_key(acme.id, viewer.id), Some(&viewer));
    assert_eq!(found.management_key(beta.id, viewer.id), None, "another's");
    for (prefix, owner) in [("acme", acme.id), ("acme.dev", acme.id), ("beta", beta.id), ("other", first)] {
        assert_eq!(found.prefix_owner(prefix), Some(owner), "{prefix}");
    }
}

#[test]
fn a_prefix_has_one_owner() {
    let world = World::new();
    let store = world.open();
    let first = workspace(&store);
    let (acme, _) = tenant(&store, "acme", &["acme"]);
    refused(&try_tenant(&store, "beta", &["beta", "acme"]), "`acme`");
    refused(&try_tenant(&store, "beta", &["beta", "beta"]), "twice");
    refused(&set_prefixes(&store, acme.id, Prefixes::Rest), "`*`");
    put_secret(&store, "S", "value");
    create_endpoint(&store, "demo/chat", "S");
    refused(&try_tenant(&store, "demo", &["demo"]), "`demo`");
    refused(&set_prefixes(&store, first, prefixes(&["other"])), "`demo/chat`");
    set_prefixes(&store, first, prefixes(&["demo"])).unwrap();
    assert_eq!(store.snapshot().prefix_owner("other"), None, "nobody's since the first has a list");
    tenant(&store, "beta", &["other"]);
    set_prefixes(&store, acme.id, prefixes(&[])).unwrap();
    set_prefixes(&store, first, Prefixes::Rest).unwrap();
    assert_eq!(store.snapshot().prefix_owner("acme"), Some(first), "given back");
    assert_ne!(store.snapshot().prefix_owner("other"), Some(first));
}

#[test]
fn an_endpoint_needs_a_prefix_of_its_workspace_when_it_is_made_and_when_it_is_renamed() {
    let world = World::new();
    let store = world.open();
    put_secret(&store, "S", "value");
    let made = create_endpoint(&store, "demo/chat", "S");
    tenant(&store, "acme", &["acme"]);
    let patch = endpoint::EndpointPatch { slug: Some(slug("acme/chat")), ..Default::default() };
    let (home, id) = (made.workspace, made.id);
    refused(&wait(store.edit(NOW, move |cx| endpoint::update(cx, home, id, patch))), "`acme`");
    let patch = endpoint::EndpointPatch { slug: Some(slug("demo2/chat")), ..Default::default() };
    wait(store.edit(NOW, move |cx| endpoint::update(cx, home, id, patch))).unwrap();
}

#[test]
fn a_key_prefix_is_unique_in_its_workspace_and_a_whole_key_over_the_gateway_even_when_revoked() {
    let world = World::new();
    let store = world.open();
    let here = create(&store, "here");
    let (beta, _) = tenant(&store, "beta", &[]);
    let draft = domain::edit::group::GroupDraft { workspace: beta.id, ..draft(&store, "there", None) };
    let there = try_create(&store, draft).unwrap();
    try_mint(&store, &here, "tg_abcdefghijk").unwrap();
    try_mint(&store, &there, "tg_abcdefg-another").unwrap();
    refused(&try_mint(&store, &there, "tg_abcdefghijk"), "this prefix");
    revoke(&store, &here, "tg_abcdefg");
    for (group, credential) in [
        (&here, "tg_abcdefghijk"),
        (&there, "tg_abcdefghijk"),
        (&here, "tg_abcdefg-third"),
        (&here, "mgmt_beta_0123456789"),
    ] {
        refused(&try_mint(&store, group, credential), "this prefix");
    }
    let found = store.snapshot();
    assert_eq!(found.key_by_prefix(here.workspace, "tg_abcdefg"), None);
    assert_eq!(found.key_by_prefix(beta.id, "tg_abcdefg").unwrap().group, there.id);
    store.close();
    let store = world.open();
    refused(&try_mint(&store, &there, "tg_abcdefghijk"), "this prefix");
    refused(&try_mint(&store, &here, "tg_abcdefg-third"), "this prefix");
}

#[test]
fn a_deleted_management_key_is_never_a_credential_again() {
    let world = World::new();
    let store = world.open();
    let here = create(&store, "here");
    let (beta, its_key) = tenant(&store, "beta", &[]);
    let (workspace, id) = (beta.id, its_key.id);
    wait(store.edit(NOW, move |cx| management_key::delete(cx, workspace, id))).unwrap();
    assert!(store.snapshot().credential(&its_key.hash).is_none());
    refused(&try_mint(&store, &here, "mgmt_beta_0123456789"), "this prefix");
    store.close();
    let store = world.open();
    assert!(store.snapshot().credential(&its_key.hash).is_none());
    assert_eq!(store.snapshot().management_keys_after(workspace, Version(0)).count(), 0);
    refused(&try_mint(&store, &here, "mgmt_beta_0123456789"), "this prefix");
}

#[test]
fn a_customers_key_cannot_become_the_operators() {
    let world = World::new();
    let store = world.open();
    let here = create(&store, "here");
    try_mint(&store, &here, "tg_abcdefghijk").unwrap();
    let put = |store: &Store| {
        let new = Some(OperatorKey {
            draft: key(store, "tg_abcdefghijk", Scope::Operator),
            from_environment: true,
        });
        wait(store.edit(NOW, move |cx| Ok((management_key::put_operator_key(cx, new, &[])?, ()))))
    };
    refused(&put(&store), "this prefix");
    revoke(&store, &here, "tg_abcdefg");
    refused(&put(&store), "this prefix");
}

#[test]
fn an_operators_key_that_was_replaced_can_come_back_from_the_environment() {
    let world = World::new();
    let store = world.open();
    let put = |store: &Store, credential: &str, replaced: Vec<domain::KeyHash>| {
        let draft = key(store, credential, Scope::None);
        let new = Some(OperatorKey { draft, from_environment: true });
        wait(store.edit(NOW, move |cx| Ok((management_key::put_operator_key(cx, new, &replaced)?, ()))))
            .unwrap();
    };
    let hash = |store: &Store, credential: &str| store.vault().hash(credential.as_bytes());
    put(&store, "op_first_0123", vec![]);
    let made = store.snapshot().operator_keys().next().unwrap().id;
    put(&store, "op_second_0123", vec![hash(&store, "op_first_0123")]);
    put(&store, "op_first_0123", vec![hash(&store, "op_second_0123")]);
    store.close();
    let store = world.open();
    let found = store.snapshot();
    let keys: Vec<_> = found.operator_keys().map(|key| (&*key.prefix, key.id, key.scope)).collect();
    assert_eq!(keys, [("op_first_0", made, Scope::Operator)], "and it is the same one");
}

#[test]
fn when_a_key_was_last_used_is_known_at_once_and_written_by_the_minute_and_on_closing() {
    let world = World::new();
    let store = world.open();
    let (_, its_key) = tenant(&store, "beta", &[]);
    let at = |seconds: u64| Now { wall_ms: NOON_MS + seconds * 1_000, ..NOW };
    let on_disk = || world.number("SELECT coalesce(max(last_used_s), 0) FROM management_keys");
    assert_eq!(store.last_used_s(&its_key.hash), None);
    store.note_used(&its_key.hash, at(0));
    wait(store.flush());
    let noon = i64::try_from(at(0).wall_s()).unwrap();
    assert_eq!(on_disk(), noon);
    store.note_used(&its_key.hash, at(59));
    wait(store.flush());
    assert_eq!((on_disk(), store.last_used_s(&its_key.hash)), (noon, Some(at(59).wall_s())));
    store.note_used(&its_key.hash, at(60));
    wait(store.flush());
    assert_eq!(on_disk(), noon + 60);
    store.note_used(&its_key.hash, at(61));
    store.close();
    assert_eq!(world.open().last_used_s(&its_key.hash), Some(at(61).wall_s()));
}

#[test]
fn a_store_from_before_there_were_tenants_is_brought_up_to_date() {
    let world = World::new();
    let old = world.sql();
    old.execute_batch(include_str!("../../migrations/0001_first.sql")).unwrap();
    old.execute_batch(
        "INSERT INTO config VALUES ('version', 9);
         INSERT INTO workspaces VALUES (5, 'default', 100);
         INSERT INTO groups VALUES (-6, 5, 2, NULL, 'cust', '[]', 'INDEPENDENT', NULL, -6, 1, 100, NULL);
         INSERT INTO groups VALUES (7, 5, 3, NULL, 'gone', '[]', 'INDEPENDENT', NULL, 7, 1, 100, 101);
         INSERT INTO keys VALUES (randomblob(32), 'sky_one', -6, 'prod', 4, 100, NULL);
         INSERT INTO keys VALUES (randomblob(32), 'sky_two', 7, NULL, 5, 100, 101);
         INSERT INTO management_keys VALUES (randomblob(32), 'mgmt_b', 5, 'operator', 0, 102);
         INSERT INTO management_keys VALUES (randomblob(32), 'mgmt_a', 5, 'operator', 1, 101);
         PRAGMA user_version = 1;",
    )
    .unwrap();
    drop(old);
    let store = world.open();
    let found = store.snapshot();
    let home = found.workspace(WorkspaceId(5)).unwrap();
    assert_eq!((home.onboarded, &home.org_prefixes, home.serial), (true, &Prefixes::Rest, Version(1)));
    assert_eq!(found.key_by_prefix(home.id, "sky_one").unwrap().name.as_deref(), Some("prod"));
    assert_eq!(found.key_by_prefix(home.id, "sky_two"), None);
    let keys: Vec<_> = found.management_keys_after(home.id, Version(0)).collect();
    assert_eq!(keys.iter().map(|key| &*key.prefix).collect::<Vec<_>>(), ["mgmt_a", "mgmt_b"]);
    assert_ne!(keys[0].id, keys[1].id);
    assert!(keys.iter().all(|key| found.management_key(home.id, key.id) == Some(*key)));
    assert!(world.path().join(format!("before-{SCHEMA}")).join("tollgate.db").exists());
    assert_eq!(world.number("SELECT count(*) FROM keys WHERE prefix = 'sky_two' AND workspace = 5"), 1);
}
