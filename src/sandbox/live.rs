//! A sandbox that stays up: people speak by what is typed, and every phone is shown as it changes.

use super::cast::{self, ALICE, CAST, Member};
use super::prompt::{self, Line};
use super::screen::{self, Style};
use super::{Sandbox, SandboxError};
use crate::config::show_duration;
use interline_sandbox::{Phone, Seen};
use serde_json::{Value, json};
use std::future::Future;
use std::io::Write;
use std::time::Duration;
use tokio::sync::mpsc;

/// A phone is watched for as long as this, and then again.
const WATCH: Duration = Duration::from_secs(3600);
/// The prompt comes back once nothing was printed for so long, so that what a line brings about stands above it.
const QUIET: Duration = Duration::from_millis(120);

/// Where a live sandbox is seen.
pub struct Output<'a> {
    /// What happens.
    pub out: &'a mut (dyn Write + Send),
    /// What was typed wrongly.
    pub err: &'a mut (dyn Write + Send),
    /// How it looks.
    pub style: Style,
    /// One JSON object a line instead: first where everything is, then each message that is new or changed.
    pub json: bool,
    /// A person types at a terminal: a prompt says as whom.
    pub prompt: bool,
}

/// Says where everything is, then follows what is typed until `stop` or `/quit`. The end of `typed` ends it only at a
/// terminal.
///
/// # Errors
/// [`SandboxError`] if the daemon ends by itself or the output is closed.
pub async fn run(
    sandbox: &mut Sandbox,
    mut typed: mpsc::Receiver<String>,
    output: Output<'_>,
    stop: impl Future<Output = ()>,
) -> Result<(), SandboxError> {
    let mut phones = Vec::new();
    for member in CAST {
        phones.push(Watched { member, phone: sandbox.phone(&member)?, shown: Vec::new() });
    }
    let mut talk = Talk { output, speaker: ALICE, prompted: false };
    talk.introduce(sandbox)?;
    let mut stop = std::pin::pin!(stop);
    let mut types = true;
    loop {
        let waits_to_prompt = talk.output.prompt && types && !talk.prompted;
        let [one, two, three] = phones.as_mut_slice() else { return Ok(()) };
        let (at, view, numbers) = tokio::select! {
            () = &mut stop => return Ok(talk.clear()?),
            error = sandbox.ended() => return Err(error),
            (view, numbers) = one.changed() => (0, view, numbers),
            (view, numbers) = two.changed() => (1, view, numbers),
            (view, numbers) = three.changed() => (2, view, numbers),
            line = typed.recv(), if types => {
                talk.prompted = false;
                match line {
                    Some(line) if !talk.follow(sandbox, &phones, &line)? => return Ok(()),
                    Some(_) => {}
                    None if talk.output.prompt => return Ok(writeln!(talk.output.out)?),
                    None => types = false,
                }
                continue;
            }
            () = tokio::time::sleep(QUIET), if waits_to_prompt => {
                talk.prompt()?;
                continue;
            }
        };
        if let Some(watched) = phones.get(at) {
            talk.show(&watched.member, &view, &numbers)?;
        }
    }
}

/// A phone, and what was shown of it.
struct Watched {
    member: Member,
    phone: Phone,
    shown: Vec<String>,
}

impl Watched {
    /// Waits until the screen shows something else, and answers with it and the numbers of what is new or changed.
    /// Cancel-safe.
    async fn changed(&mut self) -> (Vec<Seen>, Vec<usize>) {
        loop {
            let shown = &self.shown;
            let other = |view: &[Seen]| screen::lines(view) != *shown;
            let Ok(view) = self.phone.wait_for(other, WATCH).await else { continue };
            let lines = screen::lines(&view);
            let numbers = (0..lines.len())
                .filter(|index| lines.get(*index) != self.shown.get(*index))
                .map(|index| index + 1)
                .collect();
            self.shown = lines;
            return (view, numbers);
        }
    }
}

/// The output, and who speaks.
struct Talk<'a> {
    output: Output<'a>,
    speaker: Member,
    /// The cursor stands behind the prompt.
    prompted: bool,
}

impl Talk<'_> {
    fn introduce(&mut self, sandbox: &Sandbox) -> std::io::Result<()> {
        let (style, out) = (self.output.style, &mut *self.output.out);
        if self.output.json {
            writeln!(out, "{}", places(sandbox))?;
            return out.flush();
        }
        writeln!(out, "{}", style.strong("Three people, three platforms, one conversation."))?;
        writeln!(out, "All of it is simulated on this machine; Ctrl-C ends it.\n")?;
        write_places(out, style, sandbox)?;
        let title = format!("You speak as {}.", who(&self.speaker));
        writeln!(out, "{} Type a line, and it is said. Or:\n", style.strong(&title))?;
        for line in prompt::FIRST_WORDS.lines() {
            writeln!(out, "  {line}")?;
        }
        writeln!(out)?;
        out.flush()
    }

    fn prompt(&mut self) -> std::io::Result<()> {
        let (style, word) = (self.output.style, self.speaker.kind.word());
        write!(self.output.out, "{} ", style.strong(&format!("{word}>")))?;
        self.prompted = true;
        self.output.out.flush()
    }

    /// Takes the prompt away, so that something else can stand in its place.
    fn clear(&mut self) -> std::io::Result<()> {
        if self.prompted {
            self.prompted = false;
            // To the beginning of the line, and empty to its end.
            write!(self.output.out, "\r\u{1b}[K")?;
        }
        self.output.out.flush()
    }

    /// False if this was the last line.
    fn follow(
        &mut self,
        sandbox: &Sandbox,
        phones: &[Watched],
        line: &str,
    ) -> std::io::Result<bool> {
        let typed = match prompt::parse(line, self.speaker) {
            Ok(typed) => typed,
            Err(error) => {
                writeln!(self.output.err, "{error}")?;
                return Ok(true);
            }
        };
        let changes = self.speaker != typed.speaker;
        self.speaker = typed.speaker;
        let of = |member: Member| phones.iter().find(|watched| watched.member == member);
        match typed.what {
            Line::Empty => {}
            Line::Quit => return Ok(false),
            Line::Help => writeln!(self.output.err, "{}", prompt::HELP)?,
            Line::Places => write_places(self.output.err, Style { coloured: false }, sandbox)?,
            Line::Switch if !changes => {
                self.say(&format!("You speak as {}.", who(&self.speaker)))?
            }
            Line::Switch => self.say(&format!("You speak as {} now.", who(&self.speaker)))?,
            Line::Screen => self.screen(of(self.speaker))?,
            Line::Clock(time) => {
                let clock = sandbox.platforms().clock();
                clock.advance(time);
                let ahead = show_duration(clock.moved());
                self.say(&format!("The platforms' clock is {ahead} ahead."))?;
            }
            Line::Window => {
                if let Some(watched) = of(self.speaker) {
                    watched.phone.close_window();
                }
                let name = self.speaker.name;
                self.say(&format!(
                    "{name} may be written to again once {name} has said something."
                ))?;
            }
            Line::Do(member, deed) => {
                if let Some(watched) = of(member)
                    && let Err(error) = prompt::act(&member, &watched.phone, deed)
                {
                    writeln!(self.output.err, "{error}")?;
                }
            }
        }
        Ok(true)
    }

    /// Says something that is no message of anybody: for people only.
    fn say(&mut self, words: &str) -> std::io::Result<()> {
        if self.output.json {
            return Ok(());
        }
        writeln!(self.output.out, "{words}")?;
        self.output.out.flush()
    }

    /// A phone from its first message on.
    fn screen(&mut self, watched: Option<&Watched>) -> std::io::Result<()> {
        let Some(watched) = watched else { return Ok(()) };
        let view = watched.phone.view();
        let numbers: Vec<usize> = (1..=view.len()).collect();
        self.say(&self.output.style.strong(&screen::title(&watched.member)))?;
        if view.is_empty() {
            self.say("  nothing yet")?;
        }
        self.show(&watched.member, &view, &numbers)
    }

    fn show(&mut self, member: &Member, view: &[Seen], numbers: &[usize]) -> std::io::Result<()> {
        self.clear()?;
        let (style, json) = (self.output.style, self.output.json);
        let lines = screen::lines(view);
        for number in numbers {
            let index = number - 1;
            let (Some(seen), Some(line)) = (view.get(index), lines.get(index)) else { continue };
            if json {
                let message = screen::message(*number, seen, view);
                writeln!(
                    self.output.out,
                    "{}",
                    json!({"person": member.name, "message": message})
                )?;
            } else {
                let whose = format!("{:<6} {:<10}", member.name, member.platform());
                let line = if seen.mine { style.dim(line) } else { line.clone() };
                writeln!(self.output.out, "{} {number:>3} {line}", style.dim(&whose))?;
            }
        }
        self.output.out.flush()
    }
}

fn who(member: &Member) -> String {
    format!("{} on {}", member.name, member.platform())
}

/// Where everything is, for people.
fn write_places(out: &mut dyn Write, style: Style, sandbox: &Sandbox) -> std::io::Result<()> {
    writeln!(out, "broker   {}", sandbox.broker().uri())?;
    writeln!(out, "config   {}", sandbox.config_path().display())?;
    writeln!(out, "         as in: interline status --config FILE\n")?;
    for member in CAST {
        let account = member.account;
        writeln!(out, "{}", style.strong(&who(&member)))?;
        writeln!(out, "  address       {}", member.address())?;
        writeln!(out, "  webhook       {}", sandbox.webhook_url(&member))?;
        writeln!(out, "  api_url       {}", sandbox.platforms().of(member.kind).api_url())?;
        writeln!(out, "  access_token  {}", cast::access_token(account))?;
        writeln!(out, "  app_secret    {}", cast::app_secret(account))?;
        writeln!(out, "  verify_token  {}\n", cast::verify_token(account))?;
    }
    Ok(())
}

/// Where everything is, as one JSON object.
fn places(sandbox: &Sandbox) -> Value {
    let people: Vec<Value> = CAST
        .iter()
        .map(|member| {
            json!({
                "name": member.name,
                "platform": member.kind.word(),
                "address": member.address(),
                "webhook": sandbox.webhook_url(member),
                "api_url": sandbox.platforms().of(member.kind).api_url(),
                "access_token": cast::access_token(member.account),
                "app_secret": cast::app_secret(member.account),
                "verify_token": cast::verify_token(member.account),
            })
        })
        .collect();
    json!({"broker": sandbox.broker().uri(), "config": sandbox.config_path(), "people": people})
}
