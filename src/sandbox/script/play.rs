//! Plays a script on a sandbox.

use super::judge::{count_for, files_sent, judge, mentions};
use super::{Deed, Happens, Script, Step, Target, Trouble, heal_broker, numbered};
use crate::sandbox::cast::{self, Member};
use crate::sandbox::demo::{Check, MP4, OGG, PHOTO, Played, answered, equal, quiet};
use crate::sandbox::{Sandbox, SandboxError};
use bytes::Bytes;
use interline_embedded_broker::EmbeddedBroker;
use interline_sandbox::{Clock, Fault, Kind, Order, Ordered, Phone, PhoneError, Platform, Seen};
use std::collections::HashMap;
use std::time::Duration;

/// How often it is looked whether a fault has struck.
const LOOK: Duration = Duration::from_millis(5);
/// How long a POST waits for its batch to fill.
const LINGER: Duration = Duration::from_millis(5);
/// A WebP of one pixel.
const WEBP: &[u8] =
    b"RIFF\x1a\0\0\0WEBPVP8L\r\0\0\0\x2f\0\0\0\x10\x07\x10\x11\x11\x88\x88\xfe\x07\0";

/// Plays it on a sandbox that was started with as many conversations as the script has. Whatever does not come within
/// the script's limit is a check that fails.
///
/// # Errors
/// [`SandboxError`] if the daemon ends meanwhile, or if a person cannot do what a step says. A check that fails is no
/// error.
pub async fn play(sandbox: &mut Sandbox, script: &Script) -> Result<Played, SandboxError> {
    let mut phones = HashMap::new();
    for member in cast::people(script.setup.rooms) {
        phones.insert(member.name, sandbox.phone(&member)?);
    }
    let mut stage = Stage {
        script,
        phones,
        platforms: sandbox.platforms().all().map(Platform::clone),
        broker: sandbox.broker().clone(),
        clock: sandbox.platforms().clock().clone(),
        ordered: Vec::new(),
        checks: Vec::new(),
    };
    tokio::select! {
        played = stage.play() => played?,
        error = sandbox.ended() => return Err(error),
    }
    let mut screens = Vec::new();
    for member in cast::people(script.setup.rooms) {
        screens.push((member, sandbox.phone(&member)?.view()));
    }
    Ok(Played { checks: stage.checks, screens })
}

/// A fault that was ordered, until it is known to have struck.
struct Pending {
    line: u32,
    on: Target,
    strikes: Strikes,
}

/// How it is known that a fault has struck.
enum Strikes {
    /// So many sends were answered by it.
    Sends(Ordered, u64),
    /// The broker blocks a connection.
    Blocks,
}

struct Stage<'a> {
    script: &'a Script,
    phones: HashMap<&'static str, Phone>,
    platforms: [Platform; 3],
    broker: EmbeddedBroker,
    clock: Clock,
    ordered: Vec<Pending>,
    checks: Vec<Check>,
}

impl Stage<'_> {
    async fn play(&mut self) -> Result<(), SandboxError> {
        self.set_webhooks();
        for step in &self.script.steps {
            self.step(step).await?;
        }
        // What still goes wrong at the end goes right again, so that all can arrive.
        for kind in [Kind::WhatsApp, Kind::Messenger, Kind::Instagram] {
            self.heal(Target::Platform(kind)).await?;
        }
        self.heal(Target::Broker).await?;
        self.judge().await
    }

    fn set_webhooks(&self) {
        let webhooks = self.script.webhooks;
        for platform in &self.platforms {
            platform.change_settings(|settings| {
                settings.delivery.copies = webhooks.copies;
                settings.delivery.rebatch = webhooks.rebatch;
                settings.delivery.batch_max = webhooks.batch;
                settings.delivery.batch_linger =
                    if webhooks.batch > 1 { LINGER } else { Duration::ZERO };
            });
        }
    }

    async fn step(&mut self, step: &Step) -> Result<(), SandboxError> {
        match &step.what {
            Happens::Does { who, deed, times } => {
                for number in 1..=*times {
                    let done = self.does(*who, deed, number).await;
                    done.map_err(|source| SandboxError::Step { line: step.line, source })?;
                }
            }
            Happens::Breaks { fault, times } => self.breaks(step.line, fault, *times).await,
            Happens::Heals(target) => self.heal(*target).await?,
            Happens::Waits(time) => tokio::time::sleep(*time).await,
            Happens::Clock(time) => self.clock.advance(*time),
            Happens::Settles => {
                let (_, empty) = quiet(&self.platforms, &self.broker, self.script.limit).await;
                if !empty.holds {
                    let name = format!("Nothing is under way any more at line {}", step.line);
                    self.checks.push(Check { name, ..empty });
                }
            }
        }
        Ok(())
    }

    async fn does(&self, who: Member, deed: &Deed, number: u64) -> Result<(), PhoneError> {
        let phone = self.phones.get(who.name).ok_or(PhoneError::Gone)?;
        match deed {
            Deed::Say(text) => phone.say(numbered(text, number)).map(drop),
            Deed::Photo(caption) => {
                let caption = caption.as_ref().map(|caption| numbered(caption, number));
                let photo = Bytes::from_static(PHOTO);
                phone.photo(photo, "image/png", caption.as_deref()).map(drop)
            }
            Deed::Reply { text, to } => {
                phone.reply(&self.shown(phone, to.as_deref(), false).await, text).map(drop)
            }
            Deed::React { sign, to } => {
                phone.react(&self.shown(phone, to.as_deref(), false).await, sign).map(drop)
            }
            Deed::Unreact { to } => {
                phone.unreact(&self.shown(phone, to.as_deref(), false).await).map(drop)
            }
            Deed::Edit { text, to } => {
                phone.edit(&self.shown(phone, to.as_deref(), true).await, text).map(drop)
            }
            Deed::Unsend { to } => {
                phone.unsend(&self.shown(phone, to.as_deref(), true).await).map(drop)
            }
            Deed::Voice if who.kind == Kind::WhatsApp => {
                phone.voice(Bytes::from_static(OGG)).map(drop)
            }
            Deed::Voice => phone.voice(Bytes::from_static(MP4)).map(drop),
            Deed::Sticker if who.kind == Kind::WhatsApp => {
                phone.sticker(Bytes::from_static(WEBP), false).map(drop)
            }
            Deed::Sticker => phone.sticker(Bytes::from_static(PHOTO), false).map(drop),
            Deed::Heart => phone.heart().map(drop),
            Deed::Place { latitude, longitude, name, address } => {
                phone.location(*latitude, *longitude, name.as_deref(), address.as_deref()).map(drop)
            }
            Deed::Contact { name, phone: number } => {
                let card = serde_json::json!({
                    "name": {"formatted_name": name},
                    "phones": [{"phone": number}],
                });
                phone.contacts(vec![card]).map(drop)
            }
            Deed::Unsupported(native_type) => phone.unsupported(native_type).map(drop),
            Deed::Read => phone.read().map(drop),
            Deed::CloseWindow => {
                phone.close_window();
                Ok(())
            }
        }
    }

    /// The id of the newest message that fits, for which is waited; else the words themselves, which no message has
    /// as its id, so that the phone says what is missing.
    async fn shown(&self, phone: &Phone, words: Option<&str>, mine: bool) -> String {
        let fits = |seen: &&Seen| match words {
            Some(words) => mentions(seen, words) && (seen.mine || !mine),
            None => seen.mine == mine,
        };
        let there = |view: &[Seen]| view.iter().any(|seen| fits(&seen));
        let view = match phone.wait_for(there, self.script.limit).await {
            Ok(view) => view,
            Err(late) => late.view,
        };
        let found = view.iter().rfind(fits).map(|seen| seen.native_id.clone());
        found.unwrap_or_else(|| format!("“{}”", words.unwrap_or("of anybody")))
    }

    async fn breaks(&mut self, line: u32, fault: &Trouble, times: Option<u64>) {
        match fault {
            Trouble::Answers(kind, fault) => self.order(line, *kind, fault.clone(), times),
            Trouble::PlatformGone(kind) => {
                if let Some(platform) = self.platform(*kind) {
                    platform.refuse_connections().await;
                }
            }
            Trouble::BrokerGone => {
                let connected = self.connected().await;
                self.broker.faults().listener_down().await;
                self.broker.faults().cut_all();
                self.checks.push(struck(line, connected));
            }
            Trouble::BrokerCut => {
                let connected = self.connected().await;
                self.broker.faults().cut_all();
                self.checks.push(struck(line, connected));
            }
            Trouble::BrokerBlocked => {
                self.broker.faults().block();
                let on = Target::Broker;
                self.ordered.push(Pending { line, on, strikes: Strikes::Blocks });
            }
        }
    }

    fn order(&mut self, line: u32, kind: Kind, fault: Fault, times: Option<u64>) {
        let Some(platform) = self.platform(kind) else { return };
        let order = Order::next(fault);
        let order = match times {
            Some(count) => order.times(count),
            None => order.until_released(),
        };
        let ordered = platform.order(order);
        let strikes = Strikes::Sends(ordered, times.unwrap_or(1));
        self.ordered.push(Pending { line, on: Target::Platform(kind), strikes });
    }

    /// Waits until somebody is connected to the broker; false if that takes too long.
    async fn connected(&self) -> bool {
        self.broker.wait_until(|broker| broker.connections > 0, self.script.limit).await.is_ok()
    }

    fn platform(&self, kind: Kind) -> Option<&Platform> {
        self.platforms.iter().find(|platform| platform.kind() == kind)
    }

    /// Ends what goes wrong there, once each fault has struck as often as it should.
    async fn heal(&mut self, target: Target) -> Result<(), SandboxError> {
        let (here, elsewhere): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.ordered).into_iter().partition(|fault| fault.on == target);
        self.ordered = elsewhere;
        for fault in here {
            let limit = self.script.limit;
            let in_time = match &fault.strikes {
                Strikes::Sends(ordered, wanted) => {
                    let so_often = async {
                        while ordered.struck() < *wanted {
                            tokio::time::sleep(LOOK).await;
                        }
                    };
                    let in_time = tokio::time::timeout(limit, so_often).await.is_ok();
                    ordered.release();
                    in_time
                }
                Strikes::Blocks => {
                    self.broker.wait_until(|broker| broker.blocked > 0, limit).await.is_ok()
                }
            };
            self.checks.push(struck(fault.line, in_time));
        }
        match target {
            Target::Broker => heal_broker(self.broker.faults()).await,
            Target::Platform(kind) => {
                if let Some(platform) = self.platform(kind) {
                    platform.answer_again().await?;
                }
            }
        }
        Ok(())
    }

    async fn judge(&mut self) -> Result<(), SandboxError> {
        let script = self.script;
        for member in cast::people(script.setup.rooms) {
            let count = count_for(member, &script.expectations);
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            if let Some(phone) = self.phones.get(member.name) {
                // What is there is judged below, whether it came in time or not.
                let _in_time = phone.wait_for_received(count, script.limit).await.is_ok();
            }
        }
        let (counts, empty) = quiet(&self.platforms, &self.broker, script.limit).await;
        let view = |member: Member| self.phones.get(member.name).map(Phone::view);
        let views: Vec<(Member, Vec<Seen>)> = cast::people(script.setup.rooms)
            .map(|member| (member, view(member).unwrap_or_default()))
            .collect();
        let sent = files_sent(&views);
        for (member, view) in &views {
            self.checks.extend(judge(*member, &script.expectations, view, &sent));
        }
        self.checks.push(empty);
        for (platform, counts) in self.platforms.iter().zip(counts) {
            self.checks.push(answered(platform, counts));
        }
        Ok(())
    }
}

fn struck(line: u32, in_time: bool) -> Check {
    let name = format!("The fault of line {line} struck");
    equal(name, "it did", if in_time { "it did" } else { "not as often as it should" })
}
