//! tokio's watch, whose receivers are woken in the order in which they began to wait. tokio's own draws lots, so that many
//! threads do not meet at one lock; there are a handful of receivers here.

use std::sync::Arc;

use futures::FutureExt;
use openraft::OptionalSend;
use openraft::OptionalSync;
use openraft::async_runtime::watch::{RecvError, SendError, Watch, WatchReceiver, WatchSender};
use tokio::sync::{Notify, watch};

pub struct InOrder;

/// The value is tokio's business; only waiting for it is not.
pub struct Sender<T> {
    /// Always there but for the moment in which this is dropped.
    sender: Option<watch::Sender<T>>,
    changed: Arc<Notify>,
}

pub struct Receiver<T> {
    receiver: watch::Receiver<T>,
    changed: Arc<Notify>,
}

impl<T> Sender<T> {
    fn sender(&self) -> &watch::Sender<T> {
        self.sender.as_ref().expect("it is taken when this is dropped, and then nobody calls")
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), changed: Arc::clone(&self.changed) }
    }
}

/// The last sender's end is a change too.
impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        drop(self.sender.take());
        self.changed.notify_waiters();
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self { receiver: self.receiver.clone(), changed: Arc::clone(&self.changed) }
    }
}

impl Watch for InOrder {
    type Sender<T: OptionalSend + OptionalSync> = Sender<T>;
    type Receiver<T: OptionalSend + OptionalSync> = Receiver<T>;
    type Ref<'a, T: OptionalSend + 'a> = watch::Ref<'a, T>;

    fn channel<T: OptionalSend + OptionalSync>(init: T) -> (Sender<T>, Receiver<T>) {
        let (sender, receiver) = watch::channel(init);
        let changed = Arc::new(Notify::new());
        let sender = Sender { sender: Some(sender), changed: Arc::clone(&changed) };
        (sender, Receiver { receiver, changed })
    }
}

impl<T: OptionalSend + OptionalSync> WatchSender<InOrder, T> for Sender<T> {
    fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.sender().send(value).map_err(|error| SendError(error.0))?;
        self.changed.notify_waiters();
        Ok(())
    }

    fn send_if_modified<F>(&self, modify: F) -> bool
    where
        F: FnOnce(&mut T) -> bool,
    {
        let modified = self.sender().send_if_modified(modify);
        if modified {
            self.changed.notify_waiters();
        }
        modified
    }

    fn borrow_watched(&self) -> watch::Ref<'_, T> {
        self.sender().borrow()
    }

    fn subscribe(&self) -> Receiver<T> {
        Receiver { receiver: self.sender().subscribe(), changed: Arc::clone(&self.changed) }
    }
}

impl<T: OptionalSend + OptionalSync> WatchReceiver<InOrder, T> for Receiver<T> {
    async fn changed(&mut self) -> Result<(), RecvError> {
        let changed = Arc::clone(&self.changed);
        loop {
            let mut told = std::pin::pin!(changed.notified());
            // Before the look: what changes after it is told.
            told.as_mut().enable();
            // Unconstrained, since a task that has used up its turn would be answered that nothing has changed.
            let looked = tokio::task::unconstrained(self.receiver.changed()).now_or_never();
            match looked {
                Some(Ok(())) => return Ok(()),
                Some(Err(_)) => return Err(RecvError(())),
                None => told.await,
            }
        }
    }

    fn borrow_watched(&self) -> watch::Ref<'_, T> {
        self.receiver.borrow()
    }

    fn borrow_and_update(&mut self) -> watch::Ref<'_, T> {
        self.receiver.borrow_and_update()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use parking_lot::Mutex;

    use super::*;

    #[tokio::test]
    async fn receivers_are_woken_in_the_order_in_which_they_wait() {
        let (sender, first) = InOrder::channel(0_u32);
        let woken = Arc::new(Mutex::new(Vec::new()));
        let waiting: Vec<_> = (0..40)
            .map(|number| {
                let (mut receiver, woken) = (first.clone(), Arc::clone(&woken));
                tokio::spawn(async move {
                    receiver.changed().await.unwrap();
                    woken.lock().push(number);
                })
            })
            .collect();
        tokio::task::yield_now().await;
        sender.send(1).unwrap();
        for waiting in waiting {
            waiting.await.unwrap();
        }
        assert_eq!(*woken.lock(), (0..40).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_value_before_the_end_is_seen_and_then_the_end() {
        let (sender, mut receiver) = InOrder::channel(0_u32);
        let other = sender.clone();
        sender.send(5).unwrap();
        drop(sender);
        assert_eq!(receiver.changed().await, Ok(()));
        assert_eq!(*receiver.borrow_watched(), 5);
        let waiting = tokio::spawn(async move { receiver.changed().await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "one sender is left");
        drop(other);
        assert_eq!(waiting.await.unwrap(), Err(RecvError(())));
    }

    #[tokio::test]
    async fn what_was_not_modified_wakes_nobody() {
        let (sender, mut receiver) = InOrder::channel(3_u32);
        assert!(!sender.send_if_modified(|_| false));
        assert!(receiver.changed().now_or_never().is_none());
        assert!(sender.send_if_modified(|value| {
            *value += 1;
            true
        }));
        assert_eq!(receiver.changed().now_or_never(), Some(Ok(())));
        let mut later = sender.subscribe();
        assert!(later.changed().now_or_never().is_none(), "it has seen what is there");
        drop((receiver, later));
        assert!(sender.send(9).is_err(), "nobody is left");
    }
}
