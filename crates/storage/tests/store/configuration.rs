//! What was configured stays, and what was taken away stays away.

use std::sync::Arc;

use domain::edit::management_key::{ManagementKeyDraft, OperatorKey};
use domain::edit::{endpoint, management_key, secret};
use domain::{Change, Credential, EndpointId, ManagementKey, Rejection, Scope, Version};
use limits::{Decision, Engine, Epoch, PathSpec, Shown};
use storage::{EditError, Options, Store};

use crate::world::*;

#[test]
fn a_first_start_makes_one_workspace_that_later_starts_keep() {
    let world = World::new();
    let first = world.open();
    let made = workspace(&first);
    assert_eq!(first.snapshot().version(), Version(1));
    first.close();
    let second = world.open();
    assert_eq!(second.snapshot().workspaces().count(), 1);
    assert_eq!(
        (workspace(&second), &*second.snapshot().workspaces().next().unwrap().name),
        (made, "default")
    );
    assert_eq!(second.snapshot().version(), Version(1));
}

#[test]
fn everything_configured_survives_close_and_reopen() {
    let world = World::new();
    let store = world.open();
    let root = create(&store, "root");
    let child = domain::edit::group::GroupDraft { parent: Some(root.id), ..draft(&store, "child", Some(10)) };
    let child = try_create(&store, child).unwrap();
    let minted = try_mint(&store, &child, "tg_abcdefghijk").unwrap();
    put_secret(&store, "UPSTREAM", "first value");
    put_secret(&store, "UPSTREAM", "sk-second-value");
    let endpoint = create_endpoint(&store, "acme/m1", "UPSTREAM");
    let operator = put_operator(&store, "op_0123456789", &[]);
    let version = store.snapshot().version();
    store.close();

    let store = world.open();
    let found = store.snapshot();
    assert_eq!(found.version(), version);
    assert_eq!(found.group(root.id), Some(&root));
    assert_eq!(found.group_by_external_id(root.workspace, "child"), Some(&child));
    assert_eq!(found.descendants(root.id), [&child]);
    assert_eq!(found.keys_after(child.id, Version(0)).collect::<Vec<_>>(), [&minted]);
    assert_eq!(found.key_by_prefix(root.workspace, "tg_abcdefg"), Some(&minted));
    let caller = found.credential(&store.vault().hash(b"tg_abcdefghijk"));
    assert!(matches!(caller, Some(Credential::Federated(key)) if *key == minted));
    let caller = found.credential(&store.vault().hash(b"op_0123456789"));
    assert!(matches!(caller, Some(Credential::Management(key)) if **key == operator));
    assert_eq!(found.secret(root.workspace, "UPSTREAM").unwrap().value.expose(), "sk-second-value");
    assert_eq!(found.endpoint(endpoint.id), Some(&endpoint));
    assert_eq!(found.endpoint_by_slug(&slug("acme/m1")), Some(&endpoint));
}

#[test]
fn what_was_changed_survives_as_changed() {
    let world = World::new();
    let store = world.open();
    let group = create(&store, "cust");
    let group = declare_day(&store, &group, 5);
    put_secret(&store, "A", "a");
    let made = create_endpoint(&store, "acme/m1", "A");
    let patch =
        endpoint::EndpointPatch { slug: Some(slug("acme/m2")), admission: Some(None), ..Default::default() };
    let moved = wait(store.edit(NOW, {
        let made = Arc::clone(&made);
        move |cx| endpoint::update(cx, made.workspace, made.id, patch)
    }));
    store.close();

    let found = world.open().snapshot();
    assert_eq!(found.group(group.id), Some(&group));
    assert_eq!(found.endpoint_by_slug(&slug("acme/m1")), None);
    assert_eq!(found.endpoint_by_slug(&slug("acme/m2")), Some(&moved.unwrap()));
}

#[test]
fn what_was_deleted_or_revoked_stays_so() {
    let world = World::new();
    let store = world.open();
    let (kept, doomed) = (create(&store, "kept"), create(&store, "doomed"));
    try_mint(&store, &kept, "tg_revoked_key").unwrap();
    try_mint(&store, &doomed, "tg_doomed_key").unwrap();
    revoke(&store, &kept, "tg_revoked");
    delete(&store, &doomed);
    put_secret(&store, "GONE", "value");
    let endpoint = create_endpoint(&store, "acme/m1", "GONE").id;
    let home = kept.workspace;
    wait(store.edit(NOW, move |cx| endpoint::delete(cx, home, endpoint))).unwrap();
    wait(store.edit(NOW, move |cx| secret::delete(cx, home, "GONE").map(|change| (change, ())))).unwrap();
    let replaced = put_operator(&store, "op_first_key", &[]);
    put_operator(&store, "op_second_key", &[replaced.hash]);
    store.close();

    let store = world.open();
    let found = store.snapshot();
    assert_eq!(found.group(doomed.id), None);
    assert_eq!(found.group_by_external_id(home, "doomed"), None);
    for credential in ["tg_revoked_key", "tg_doomed_key", "op_first_key"] {
        assert!(found.credential(&store.vault().hash(credential.as_bytes())).is_none(), "{credential}");
    }
    assert!(found.credential(&store.vault().hash(b"op_second_key")).is_some());
    assert_eq!(found.secret(home, "GONE"), None);
    assert_eq!(found.endpoint(EndpointId(endpoint.0)), None);
}

#[test]
fn an_identifier_is_free_again_after_its_group_is_deleted() {
    let world = World::new();
    let store = world.open();
    let first = create(&store, "cust");
    delete(&store, &first);
    let second = create(&store, "cust");
    assert_ne!(first.id, second.id);
    store.close();
    let found = world.open().snapshot();
    assert_eq!(found.group_by_external_id(second.workspace, "cust"), Some(&second));
}

#[test]
fn a_revoked_key_cannot_come_back_nor_can_its_prefix() {
    let world = World::new();
    let store = world.open();
    let group = create(&store, "cust");
    try_mint(&store, &group, "tg_abcdefghijk").unwrap();
    revoke(&store, &group, "tg_abcdefg");
    for credential in ["tg_abcdefghijk", "tg_abcdefg-another"] {
        let again = try_mint(&store, &group, credential);
        assert!(matches!(again, Err(EditError::Rejected(Rejection::Invalid(_)))), "{again:?}");
    }
    let version = store.snapshot().version();
    try_mint(&store, &group, "tg_bcdefghijkl").unwrap();
    assert_eq!(store.snapshot().version(), Version(version.0 + 1), "a refused edit makes no version");
}

#[test]
fn version_numbers_continue_after_reopen() {
    let world = World::new();
    let store = world.open();
    let first = create(&store, "one").serial;
    store.close();
    let second = create(&world.open(), "two").serial;
    assert_eq!(second, Version(first.0 + 1));
}

#[test]
fn an_edit_without_records_makes_no_version() {
    let world = World::new();
    let store = world.open();
    let nothing = store.edit(NOW, |cx| {
        Ok((
            Change { version: cx.version, records: Vec::new(), trees: Vec::new(), workspaces: Vec::new() },
            "nothing to do",
        ))
    });
    assert_eq!(wait(nothing).unwrap(), "nothing to do");
    assert_eq!(store.snapshot().version(), Version(1));
}

#[test]
fn an_edit_that_panics_changes_nothing_and_ends_nothing() {
    let world = World::new();
    let store = world.open();
    let fault = store.edit(NOW, |_| -> Result<(Change, ()), Rejection> { panic!("a fault in an edit") });
    assert_eq!(wait(fault), Err(EditError::Unavailable));
    create(&store, "cust");
    assert!(store.permit().is_some());
}

#[test]
fn a_rejected_edit_says_why_and_changes_nothing() {
    let world = World::new();
    let store = world.open();
    create(&store, "cust");
    let again = try_create(&store, draft(&store, "cust", None));
    assert!(matches!(again, Err(EditError::Rejected(Rejection::Invalid(_)))), "{again:?}");
    assert_eq!(store.snapshot().version(), Version(2));
}

#[test]
fn an_answered_edit_of_a_tree_leaves_no_path_of_before_in_force() {
    let world = World::new();
    let engine = Arc::new(Engine::new());
    let store =
        Store::open(Options { engine: Arc::clone(&engine), ..options(world.path(), MASTER) }).unwrap();
    let (group, other) = (create(&store, "cust"), create(&store, "other"));
    let bind = |root| {
        let (snapshot, workspace) = (store.snapshot(), workspace(&store));
        let epoch = Epoch { tree: snapshot.tree_epoch(root), workspace: snapshot.workspace_epoch(workspace) };
        let (limits, shared) = (Vec::new(), Vec::new());
        engine.bind(PathSpec { root, workspace, epoch, shown: Shown::Own, limits, shared }, NOW)
    };
    let stale = |path: &_| matches!(engine.reserve(path, OBSERVED, NOW, None), Decision::Stale);
    let (before, elsewhere) = (bind(group.root), bind(other.root));
    assert!(!stale(&before));
    declare_day(&store, &group, 5);
    let after = bind(group.root);
    assert_eq!([&before, &after, &elsewhere].map(stale), [true, false, false]);
}

fn put_operator(store: &Store, credential: &str, replaced: &[domain::KeyHash]) -> ManagementKey {
    let hash = store.vault().hash(credential.as_bytes());
    let draft =
        ManagementKeyDraft { prefix: credential[..8].into(), hash, name: None, scope: Scope::Operator };
    let new = Some(OperatorKey { draft, from_environment: true });
    let replaced = replaced.to_vec();
    wait(store.edit(NOW, move |cx| Ok((management_key::put_operator_key(cx, new, &replaced)?, ())))).unwrap();
    let found = store.snapshot();
    let key = found.operator_keys().find(|key| key.hash == hash);
    ManagementKey::clone(key.unwrap())
}
