//! Answers the `exchange` and `queue` classes: declare, bind, unbind, purge, delete.

use crate::errors::Failure;
use crate::exchange::{Exchange, Kind, Target};
use crate::message::{integer, text};
use crate::queue::{Queue, Settings};
use crate::state::State;
use amq_protocol::protocol::{AMQPClass, exchange, queue};
use amq_protocol::types::FieldTable;
use std::sync::Arc;

impl State {
    pub(crate) fn on_exchange(
        &mut self,
        id: u64,
        number: u16,
        method: exchange::AMQPMethod,
    ) -> Result<(), Failure> {
        use exchange::AMQPMethod as M;
        let (nowait, answer) = match method {
            M::Declare(declare) => {
                self.declare_exchange(&declare)?;
                (declare.nowait, M::DeclareOk(exchange::DeclareOk {}))
            }
            M::Delete(delete) => {
                let name = delete.exchange.as_str();
                match self.exchanges.get(name) {
                    Some(exchange) if exchange.is_predeclared => {
                        return Err(Failure::access_refused(&format!(
                            "exchange '{name}' in vhost '/' is the broker's own"
                        )));
                    }
                    Some(exchange) if delete.if_unused && !exchange.is_unused() => {
                        return Err(Failure::precondition(&format!(
                            "exchange '{name}' in vhost '/' in use"
                        )));
                    }
                    None if name.is_empty() => {
                        return Err(Failure::access_refused(
                            "the default exchange is the broker's own",
                        ));
                    }
                    Some(_) | None => self.delete_exchange(name),
                }
                (delete.nowait, M::DeleteOk(exchange::DeleteOk {}))
            }
            M::Bind(bind) => {
                let destination = bind.destination.as_str();
                if !self.exchanges.contains_key(destination) {
                    return Err(Failure::no_exchange(destination));
                }
                let target = Target::Exchange(destination.to_owned());
                self.bindable(bind.source.as_str())?.bind(bind.routing_key.as_str(), target);
                (bind.nowait, M::BindOk(exchange::BindOk {}))
            }
            M::Unbind(unbind) => {
                let target = Target::Exchange(unbind.destination.to_string());
                self.unbind(unbind.source.as_str(), unbind.routing_key.as_str(), &target)?;
                (unbind.nowait, M::UnbindOk(exchange::UnbindOk {}))
            }
            M::DeclareOk(_) | M::DeleteOk(_) | M::BindOk(_) | M::UnbindOk(_) => {
                return Err(Failure::command_invalid("a reply from a client"));
            }
        };
        if !nowait {
            self.connection(id)?.say(number, AMQPClass::Exchange(answer));
        }
        Ok(())
    }

    fn declare_exchange(&mut self, declare: &exchange::Declare) -> Result<(), Failure> {
        let name = declare.exchange.as_str();
        if declare.passive {
            let exists = name.is_empty() || self.exchanges.contains_key(name);
            return if exists { Ok(()) } else { Err(Failure::no_exchange(name)) };
        }
        let kind = declare.kind.as_str();
        let kind = Kind::parse(kind)
            .ok_or_else(|| Failure::command_invalid(&format!("unknown exchange type '{kind}'")))?;
        let Some(known) = self.exchanges.get(name) else {
            if name.is_empty() || name.starts_with("amq.") {
                return Err(Failure::access_refused(&format!(
                    "exchange name '{name}' is reserved"
                )));
            }
            let exchange =
                Exchange::new(kind, declare.durable, declare.auto_delete, declare.internal);
            self.exchanges.insert(name.to_owned(), exchange);
            return Ok(());
        };
        let same = [
            ("type", known.kind == kind),
            ("durable", known.durable == declare.durable),
            ("auto_delete", known.auto_delete == declare.auto_delete),
            ("internal", known.internal == declare.internal),
        ];
        match same.iter().find(|(_, is_same)| !is_same) {
            Some((arg, _)) => Err(Failure::precondition(&format!(
                "inequivalent arg '{arg}' for exchange '{name}' in vhost '/'"
            ))),
            None => Ok(()),
        }
    }

    fn bindable(&mut self, name: &str) -> Result<&mut Exchange, Failure> {
        if name.is_empty() {
            return Err(Failure::access_refused("operation not permitted on the default exchange"));
        }
        self.exchanges.get_mut(name).ok_or_else(|| Failure::no_exchange(name))
    }

    fn unbind(&mut self, source: &str, key: &str, target: &Target) -> Result<(), Failure> {
        let exchange = self.bindable(source)?;
        if exchange.unbind(key, target) && exchange.auto_delete && exchange.is_unused() {
            self.delete_exchange(source);
        }
        Ok(())
    }

    pub(crate) fn on_queue(
        &mut self,
        id: u64,
        number: u16,
        method: queue::AMQPMethod,
    ) -> Result<(), Failure> {
        use queue::AMQPMethod as M;
        let (nowait, answer) = match method {
            M::Declare(declare) => {
                let nowait = declare.nowait;
                (nowait, M::DeclareOk(self.declare_queue(id, number, declare)?))
            }
            M::Bind(bind) => {
                let name = self.named_queue(id, number, bind.queue.as_str())?;
                self.usable_queue(id, &name)?;
                self.bindable(bind.exchange.as_str())?
                    .bind(bind.routing_key.as_str(), Target::Queue(name.to_string()));
                (bind.nowait, M::BindOk(queue::BindOk {}))
            }
            M::Unbind(unbind) => {
                let name = self.named_queue(id, number, unbind.queue.as_str())?;
                let target = Target::Queue(name.to_string());
                self.unbind(unbind.exchange.as_str(), unbind.routing_key.as_str(), &target)?;
                (false, M::UnbindOk(queue::UnbindOk {}))
            }
            M::Purge(purge) => {
                let name = self.named_queue(id, number, purge.queue.as_str())?;
                let message_count = count(self.usable_queue(id, &name)?.purge());
                (purge.nowait, M::PurgeOk(queue::PurgeOk { message_count }))
            }
            M::Delete(delete) => {
                (delete.nowait, M::DeleteOk(self.on_delete_queue(id, number, &delete)?))
            }
            M::DeclareOk(_) | M::BindOk(_) | M::PurgeOk(_) | M::DeleteOk(_) | M::UnbindOk(_) => {
                return Err(Failure::command_invalid("a reply from a client"));
            }
        };
        if !nowait {
            self.connection(id)?.say(number, AMQPClass::Queue(answer));
        }
        Ok(())
    }

    fn on_delete_queue(
        &mut self,
        id: u64,
        number: u16,
        delete: &queue::Delete,
    ) -> Result<queue::DeleteOk, Failure> {
        // Deleting what is not there succeeds, as in RabbitMQ.
        let Ok(name) = self.named_queue(id, number, delete.queue.as_str()) else {
            return Ok(queue::DeleteOk { message_count: 0 });
        };
        let queue = self.usable_queue(id, &name)?;
        if delete.if_unused && !queue.consumers.is_empty() {
            return Err(Failure::precondition(&format!("queue '{name}' in vhost '/' in use")));
        }
        if delete.if_empty && queue.ready_count() > 0 {
            return Err(Failure::precondition(&format!("queue '{name}' in vhost '/' not empty")));
        }
        Ok(queue::DeleteOk { message_count: count(self.delete_queue(&name)) })
    }

    fn declare_queue(
        &mut self,
        id: u64,
        number: u16,
        declare: queue::Declare,
    ) -> Result<queue::DeclareOk, Failure> {
        let name: Arc<str> = match declare.queue.as_str() {
            "" if declare.passive => self.named_queue(id, number, "")?,
            "" => format!("amq.gen-{:016x}", self.next_id()).into(),
            name => name.into(),
        };
        if self.queues.contains_key(&name) {
            let known = self.usable_queue(id, &name)?;
            if !declare.passive {
                check_same(&name, known, &declare)?;
            }
        } else if declare.passive {
            return Err(Failure::no_queue(&name));
        } else {
            self.create_queue(id, &name, declare)?;
        }
        name.as_ref().clone_into(&mut self.channel(id, number)?.last_queue);
        let queue = self.usable_queue(id, &name)?;
        Ok(queue::DeclareOk {
            message_count: count(queue.ready_count()),
            consumer_count: count(queue.consumers.len()),
            queue: name.as_ref().into(),
        })
    }

    fn create_queue(
        &mut self,
        id: u64,
        name: &Arc<str>,
        declare: queue::Declare,
    ) -> Result<(), Failure> {
        if declare.queue.as_str().starts_with("amq.") {
            return Err(Failure::access_refused(&format!("queue name '{name}' is reserved")));
        }
        let settings = Settings::parse(&declare.arguments, self.config.quorum_delivery_limit)?;
        if settings.is_quorum && (!declare.durable || declare.exclusive || declare.auto_delete) {
            let text = format!(
                "quorum queue '{name}' must be durable, and neither exclusive nor auto-delete"
            );
            return Err(Failure::precondition(&text));
        }
        let mut queue = Queue::new(self.next_id(), declare.arguments, settings);
        queue.durable = declare.durable;
        queue.auto_delete = declare.auto_delete;
        queue.exclusive_to = declare.exclusive.then_some(id);
        self.queues.insert(name.clone(), queue);
        Ok(())
    }

    /// The queue of that name; the empty name is the one that the channel declared last.
    pub(crate) fn named_queue(
        &mut self,
        id: u64,
        number: u16,
        name: &str,
    ) -> Result<Arc<str>, Failure> {
        let name = match name {
            "" => self.channel(id, number)?.last_queue.clone(),
            name => name.to_owned(),
        };
        self.queues
            .get_key_value(name.as_str())
            .map(|(name, _)| name.clone())
            .ok_or_else(|| Failure::no_queue(&name))
    }

    /// A queue that this connection may use: another's exclusive queue is locked.
    pub(crate) fn usable_queue(&mut self, id: u64, name: &str) -> Result<&mut Queue, Failure> {
        let queue = self.queues.get_mut(name).ok_or_else(|| Failure::no_queue(name))?;
        match queue.exclusive_to.is_some_and(|owner| owner != id) {
            true => Err(Failure::locked(name)),
            false => Ok(queue),
        }
    }
}

fn check_same(name: &str, known: &Queue, declare: &queue::Declare) -> Result<(), Failure> {
    let same = [
        ("durable", known.durable == declare.durable),
        ("auto_delete", known.auto_delete == declare.auto_delete),
        ("exclusive", known.exclusive_to.is_some() == declare.exclusive),
    ];
    let flag = same.iter().find(|(_, is_same)| !is_same).map(|(arg, _)| (*arg).to_owned());
    match flag.or_else(|| other_argument(&known.arguments, &declare.arguments)) {
        Some(arg) => Err(Failure::precondition(&format!(
            "inequivalent arg '{arg}' for queue '{name}' in vhost '/'"
        ))),
        None => Ok(()),
    }
}

/// The first argument that differs; numbers and texts are compared whatever their wire type.
fn other_argument(known: &FieldTable, asked: &FieldTable) -> Option<String> {
    let is_same = |name: &str| match (known.inner().get(name), asked.inner().get(name)) {
        (Some(known), Some(asked)) => {
            known == asked
                || (integer(known).is_some() && integer(known) == integer(asked))
                || (text(known).is_some() && text(known) == text(asked))
        }
        (known, asked) => known.is_none() && asked.is_none(),
    };
    let mut names = known.inner().keys().chain(asked.inner().keys());
    names.find(|name| !is_same(name.as_str())).map(ToString::to_string)
}

fn count(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}
