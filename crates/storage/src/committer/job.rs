//! Edits, other writes and flushes on their way to the committer: the question, and where its answer goes.

use std::panic::{AssertUnwindSafe, catch_unwind};

use domain::{Change, Context, Now, Rejection};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::embedded::Books;
use crate::error::EditError;

/// Makes the change from the configuration as it stands. None if there is nothing to write: the answer is given.
type Prepare = Box<dyn FnOnce(&Context<'_>) -> Option<Prepared> + Send>;
/// Tells the one who asked how the write went.
type Answer = Box<dyn FnOnce(Result<(), EditError>) + Send>;

/// A change that is allowed, and how to say that it was made.
pub(crate) struct Prepared {
    pub(crate) change: Change,
    pub(crate) answer: Answer,
}

/// One edit.
pub(crate) struct EditJob {
    pub(crate) now: Now,
    pub(crate) prepare: Prepare,
    /// Given back when the edit is done.
    pub(crate) room: OwnedSemaphorePermit,
}

impl EditJob {
    pub(crate) fn new<T, F>(
        now: Now,
        room: OwnedSemaphorePermit,
        edit: F,
    ) -> (Self, oneshot::Receiver<Result<T, EditError>>)
    where
        F: FnOnce(&Context<'_>) -> Result<(Change, T), Rejection> + Send + 'static,
        T: Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let prepare = move |cx: &Context<'_>| match edit(cx) {
            Ok((change, value)) => {
                let answer = move |written: Result<(), EditError>| {
                    // Whoever asked may have left; the edit stands all the same.
                    let _ = sender.send(written.map(|()| value));
                };
                Some(Prepared { change, answer: Box::new(answer) })
            }
            Err(rejection) => {
                let _ = sender.send(Err(EditError::Rejected(rejection)));
                None
            }
        };
        (Self { now, prepare: Box::new(prepare), room }, receiver)
    }
}

/// Something else that is written between two batches.
pub(crate) struct DeskJob {
    run: Box<dyn FnOnce(&mut Books) + Send>,
    /// Given back when it is done; none for what asks by itself now and then.
    _room: Option<OwnedSemaphorePermit>,
}

impl DeskJob {
    pub(crate) fn new<T, F>(
        room: OwnedSemaphorePermit,
        work: F,
    ) -> (Self, oneshot::Receiver<rusqlite::Result<T>>)
    where
        F: FnOnce(&mut Books) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let run = move |books: &mut Books| {
            // Whoever asked may have left; what was written stands all the same.
            let _ = sender.send(work(books));
        };
        (Self { run: Box::new(run), _room: Some(room) }, receiver)
    }

    /// One whose answer nobody waits for, and that comes now and then.
    pub(crate) fn unasked(run: impl FnOnce(&mut Books) + Send + 'static) -> Self {
        Self { run: Box::new(run), _room: None }
    }

    /// Does it. A fault in it must not take the ledger down; a transaction that it left is rolled back.
    pub(crate) fn run(self, books: &mut Books) {
        if catch_unwind(AssertUnwindSafe(|| (self.run)(books))).is_err() {
            tracing::error!("a job of the committer ended by a fault; nothing was changed");
        }
    }
}

/// Somebody waits for the disk.
pub(crate) struct FlushJob {
    done: oneshot::Sender<()>,
    /// Given back when it is answered.
    _room: OwnedSemaphorePermit,
}

impl FlushJob {
    pub(crate) fn new(room: OwnedSemaphorePermit) -> (Self, oneshot::Receiver<()>) {
        let (done, receiver) = oneshot::channel();
        (Self { done, _room: room }, receiver)
    }

    pub(crate) fn answer(self) {
        // Nobody may be waiting any more.
        let _ = self.done.send(());
    }
}
