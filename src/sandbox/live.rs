//! A sandbox that stays up: people speak by what is typed, and every phone is shown as it changes.

use super::cast::{self, CAST, Member};
use super::prompt::{self, Line};
use super::screen::{self, Style};
use super::{Sandbox, SandboxError};
use interline_sandbox::{Phone, Seen};
use serde_json::{Value, json};
use std::future::Future;
use std::io::Write;
use std::time::Duration;
use tokio::sync::mpsc;

/// A phone is watched for as long as this, and then again.
const WATCH: Duration = Duration::from_secs(3600);

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
}

/// Says where everything is, then follows what is typed until `stop` or `quit`. The end of `typed` does not end it.
///
/// # Errors
/// [`SandboxError`] if the daemon ends by itself or the output is closed.
pub async fn run(
    sandbox: &mut Sandbox,
    mut typed: mpsc::Receiver<String>,
    mut output: Output<'_>,
    stop: impl Future<Output = ()>,
) -> Result<(), SandboxError> {
    output.introduce(sandbox)?;
    let mut phones = Vec::new();
    for member in CAST {
        phones.push(Watched { member, phone: sandbox.phone(&member)?, shown: Vec::new() });
    }
    let mut stop = std::pin::pin!(stop);
    let mut types = true;
    loop {
        let [one, two, three] = phones.as_mut_slice() else { return Ok(()) };
        let (at, view, numbers) = tokio::select! {
            () = &mut stop => return Ok(()),
            error = sandbox.ended() => return Err(error),
            (view, numbers) = one.changed() => (0, view, numbers),
            (view, numbers) = two.changed() => (1, view, numbers),
            (view, numbers) = three.changed() => (2, view, numbers),
            line = typed.recv(), if types => {
                match line {
                    Some(line) if !output.follow(&phones, &line)? => return Ok(()),
                    Some(_) => {}
                    None => types = false,
                }
                continue;
            }
        };
        if let Some(watched) = phones.get(at) {
            output.show(&watched.member, &view, &numbers)?;
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

impl Output<'_> {
    fn introduce(&mut self, sandbox: &Sandbox) -> std::io::Result<()> {
        if self.json {
            writeln!(self.out, "{}", places(sandbox))?;
            return self.out.flush();
        }
        let style = self.style;
        writeln!(self.out, "{}", style.strong("Three people, three platforms, one conversation."))?;
        writeln!(self.out, "All of it is simulated on this machine; Ctrl-C ends it.\n")?;
        writeln!(self.out, "broker   {}", sandbox.broker().uri())?;
        writeln!(self.out, "config   {}", sandbox.config_path().display())?;
        writeln!(self.out, "         as in: interline dead list --config FILE\n")?;
        for member in CAST {
            let platform = sandbox.platforms().of(member.kind);
            let account = member.account;
            let title = format!("{} on {}", member.name, member.platform());
            writeln!(self.out, "{}", style.strong(&title))?;
            writeln!(self.out, "  address       {}", member.address())?;
            writeln!(self.out, "  webhook       {}", sandbox.webhook_url(&member))?;
            writeln!(self.out, "  api_url       {}", platform.api_url())?;
            writeln!(self.out, "  access_token  {}", cast::access_token(account))?;
            writeln!(self.out, "  app_secret    {}", cast::app_secret(account))?;
            writeln!(self.out, "  verify_token  {}\n", cast::verify_token(account))?;
        }
        writeln!(self.out, "Let them speak:\n")?;
        for line in prompt::HELP.lines() {
            writeln!(self.out, "  {line}")?;
        }
        writeln!(self.out)?;
        self.out.flush()
    }

    /// False if this was the last line.
    fn follow(&mut self, phones: &[Watched], line: &str) -> std::io::Result<bool> {
        let done = match prompt::parse(line) {
            Ok(Line::Empty) => Ok(()),
            Ok(Line::Help) => writeln!(self.err, "{}", prompt::HELP).map(Ok)?,
            Ok(Line::Quit) => return Ok(false),
            Ok(Line::Do(member, deed)) => phones
                .iter()
                .find(|watched| watched.member == member)
                .map_or(Ok(()), |watched| prompt::act(&member, &watched.phone, deed)),
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            writeln!(self.err, "{error}")?;
        }
        Ok(true)
    }

    fn show(&mut self, member: &Member, view: &[Seen], numbers: &[usize]) -> std::io::Result<()> {
        let lines = screen::lines(view);
        for number in numbers {
            let index = number - 1;
            let (Some(seen), Some(line)) = (view.get(index), lines.get(index)) else { continue };
            if self.json {
                let message = screen::message(*number, seen, view);
                writeln!(self.out, "{}", json!({"person": member.name, "message": message}))?;
            } else {
                let whose = format!("{:<6} {:<10}", member.name, member.platform());
                let line = if seen.mine { self.style.dim(line) } else { line.clone() };
                writeln!(self.out, "{} {number:>3} {line}", self.style.dim(&whose))?;
            }
        }
        self.out.flush()
    }
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
