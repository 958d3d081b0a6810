//! Edits and flushes on their way to the committer: the question, and where its answer goes.

use domain::{Change, Context, Now, Rejection};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

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
