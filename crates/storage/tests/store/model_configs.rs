//! Model configs and prices as they are kept: whole, in order, one of each.

use std::sync::Arc;

use domain::edit::model_config::{
    self, BudgetDraft, ConfigDraft, ConfigPatch, ProviderPatch, RatesDraft, RuleDraft,
};
use domain::edit::{Rejection, prices};
use domain::{
    ConfigIdentity, ConfigScope, Meter, ModelConfig, PriceBook, PriceSource, Rate, ResetDuration, Usd,
    Version, WorkspaceId,
};
use storage::{EditError, Store, random_bytes};

use crate::world::*;

fn reset(text: &str) -> ResetDuration {
    text.parse().unwrap()
}

pub(crate) fn budgets(lines: &[(u64, &str)]) -> Vec<BudgetDraft> {
    lines.iter().map(|(max, length)| BudgetDraft { id: None, max: Usd(*max), reset: reset(length) }).collect()
}

/// At most so many requests and tokens an hour.
pub(crate) fn hourly(requests: u64, tokens: u64) -> RatesDraft {
    let rate = |max| Some(Rate { max, reset: reset("1h") });
    RatesDraft::Pair { tokens: rate(tokens), requests: rate(requests) }
}

pub(crate) fn about(store: &Store, scope: ConfigScope, model: &str, provider: Option<&str>) -> ConfigDraft {
    ConfigDraft {
        workspace: workspace(store),
        identity: ConfigIdentity { scope, model_name: model.into(), provider: provider.map(Into::into) },
        calendar_aligned: false,
        budgets: Vec::new(),
        rate_limits: RatesDraft::None,
    }
}

pub(crate) fn try_config(store: &Store, draft: ConfigDraft) -> Result<Arc<ModelConfig>, EditError> {
    wait(store.edit(NOW, move |cx| model_config::create(cx, draft, &mut random_bytes)))
}

pub(crate) fn patch(store: &Store, config: &ModelConfig, patch: ConfigPatch) -> Arc<ModelConfig> {
    let (workspace, id) = (config.workspace, config.id);
    wait(store.edit(NOW, move |cx| model_config::update(cx, workspace, id, patch, &mut random_bytes)))
        .unwrap()
}

fn all(store: &Store) -> Vec<Arc<ModelConfig>> {
    store.snapshot().configs_after(workspace(store), Version(0)).cloned().collect()
}

#[test]
fn configs_of_every_scope_and_shape_survive_close_and_reopen_in_their_order() {
    let world = World::new();
    let store = world.open();
    let group = create(&store, "cust");
    let key = try_mint(&store, &group, "tg_1234567.secret").unwrap();
    let rules = vec![
        RuleDraft { id: None, meter: Meter::Tokens, rate: Rate { max: 9, reset: reset("1.5d") } },
        RuleDraft {
            id: None,
            meter: Meter::Requests,
            rate: Rate { max: u64::MAX >> 1, reset: reset("Weekly") },
        },
    ];
    let drafts = [
        ConfigDraft {
            budgets: budgets(&[(1, "1h30m"), (Usd::MAX.0, "1M")]),
            rate_limits: hourly(3, 5),
            calendar_aligned: true,
            ..about(&store, ConfigScope::Global, "*", None)
        },
        ConfigDraft {
            rate_limits: RatesDraft::Rules(rules),
            ..about(&store, ConfigScope::VirtualKey(Arc::clone(&key.prefix)), "acme/m1", Some("groq"))
        },
        about(&store, ConfigScope::User("Ada \u{1f980}".into()), "llama:8b", None),
        about(&store, ConfigScope::Group(group.id), "llama", Some("openai")),
        about(&store, ConfigScope::Global, "*", Some("openai_compatible")),
    ];
    let made: Vec<_> = drafts.into_iter().map(|draft| try_config(&store, draft).unwrap()).collect();
    assert_eq!(all(&store), made);
    let changed = patch(
        &store,
        &made[0],
        ConfigPatch { budgets: Some(Vec::new()), model_name: Some("llama".into()), ..ConfigPatch::default() },
    );
    let gone = made[2].id;
    let home = workspace(&store);
    wait(store.edit(NOW, move |cx| model_config::delete(cx, home, gone))).unwrap();
    let left = [&changed, &made[1], &made[3], &made[4]].map(Arc::clone);
    assert_eq!(all(&store), left);
    revoke(&store, &group, &key.prefix);
    delete(&store, &group);
    store.close();
    assert_eq!(all(&world.open()), left, "those of keys and groups that are gone, too");
}

#[test]
fn of_many_that_race_for_one_identity_exactly_one_wins() {
    let world = World::new();
    let store = world.open();
    let race = || match try_config(&store, about(&store, ConfigScope::Global, "*", None)) {
        Ok(_) => true,
        Err(EditError::Rejected(Rejection::Conflict(_))) => false,
        Err(other) => panic!("{other:?}"),
    };
    let won = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..20).map(|_| scope.spawn(race)).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).filter(|won| *won).count()
    });
    assert_eq!((won, all(&store).len()), (1, 1));
}

#[test]
fn a_provider_without_limits_has_no_config_left() {
    let world = World::new();
    let store = world.open();
    put_secret(&store, "KEY", "secret");
    create_endpoint(&store, "acme/m1", "KEY");
    let home = workspace(&store);
    let put = |lines: &[(u64, &str)]| {
        let patch = ProviderPatch { budgets: Some(budgets(lines)), ..ProviderPatch::default() };
        let put = move |cx: &domain::Context<'_>| {
            model_config::put_provider(cx, home, "groq", patch, &mut random_bytes)
        };
        wait(store.edit(NOW, put)).unwrap()
    };
    let made = put(&[(5, "1d")]).unwrap();
    assert_eq!(all(&store), [Arc::clone(&made)]);
    let kept = put(&[(6, "1d")]).unwrap();
    assert_eq!((kept.id, kept.budgets[0].id), (made.id, made.budgets[0].id));
    assert_eq!(put(&[]), None);
    store.close();
    assert_eq!(all(&world.open()).len(), 0);
}

#[test]
fn prices_of_each_source_survive_and_are_replaced_whole() {
    let world = World::new();
    let store = world.open();
    let book = |models: &[&str]| {
        PriceBook(models.iter().map(|model| (("openai".into(), (*model).into()), price())).collect())
    };
    let put = |source, book: PriceBook| {
        wait(store.edit(NOW, move |cx| Ok((prices::replace(cx, source, book), ())))).unwrap();
    };
    put(PriceSource::File, book(&["a", "b"]));
    put(PriceSource::Imported, book(&["a", "c"]));
    put(PriceSource::File, book(&["b", "d"]));
    let version = store.snapshot().version();
    put(PriceSource::File, book(&["b", "d"]));
    assert_eq!(store.snapshot().version(), version, "nothing is written where nothing changes");
    store.close();
    let found = world.open().snapshot();
    assert_eq!(*found.prices(PriceSource::File).as_ref(), book(&["b", "d"]));
    assert_eq!(*found.prices(PriceSource::Imported).as_ref(), book(&["a", "c"]));
}

#[test]
fn a_store_from_before_there_were_model_configs_is_brought_up_to_date() {
    let world = World::new();
    let old = world.sql();
    old.execute_batch(include_str!("../../migrations/0001_first.sql")).unwrap();
    old.execute_batch(include_str!("../../migrations/0002_tenants.sql")).unwrap();
    old.execute_batch(
        "INSERT INTO config VALUES ('version', 9);
         INSERT INTO workspaces VALUES (5, 'default', 100, 1, NULL, NULL, 1);
         INSERT INTO groups VALUES (7, 5, 2, NULL, 'cust', '[]', 'INDEPENDENT', NULL, 7, 1, 100, NULL);
         INSERT INTO keys VALUES (randomblob(32), 5, 'tg_one', 7, 'prod', 4, 100, NULL);
         INSERT INTO entries VALUES (x'019e21354600756d8222e1a81502fee2', 1, 2, 5, '', 'cust', 'tg_one', 'acme/m1', 'OPENAI', 'gpt',
             '/v1/chat/completions', 10, 5, 4, 'reported', 'completed', 200, 3, NULL);
         INSERT INTO rollups VALUES (7, 'acme/m1', 'tg_one', 'OPENAI', 1, 1, 10, 5, 4);
         PRAGMA user_version = 2;",
    )
    .unwrap();
    drop(old);
    let store = world.open();
    assert_eq!(store.snapshot().key_by_prefix(WorkspaceId(5), "tg_one").unwrap().user_id, None);
    let entry = wait(store.last_entries(9)).unwrap().remove(0);
    assert_eq!((entry.usage.input, entry.usage.cached, entry.usage.cache_written), (10, 4, 0));
    assert_eq!((entry.user, entry.cost, entry.price, entry.lines), (None, None, None, Vec::new()));
    try_config(&store, about(&store, ConfigScope::Global, "*", None)).unwrap();
    store.close();
    assert_eq!(world.number("SELECT cost_nano_usd FROM rollups"), 0);
    assert!(world.path().join(format!("before-{SCHEMA}")).join("tollgate.db").exists());
    assert_eq!(all(&world.open()).len(), 1);
}
