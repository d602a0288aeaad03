//! What a round costs: CPU time of this process and of the broker's, and peak memory. Read from `/proc`.

use std::path::PathBuf;

/// CPU time is counted in steps of 10 ms (proc(5), 100 ticks a second).
const TICK_US: f64 = 10_000.0;

/// Counts from its start.
#[derive(Debug)]
pub(super) struct Meter {
    own_us: f64,
    broker: Option<(u32, f64)>,
}

/// What one round cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    /// CPU time of this process, user and system, in microseconds.
    pub(super) own_us: f64,
    /// The same of the broker's process, where it is known.
    pub(super) broker_us: Option<f64>,
    /// The most memory that this process had, in KiB.
    pub(super) peak_rss_kib: Option<u64>,
}

impl Meter {
    /// Starts counting. `broker`: its process id on this machine, where there is one to look at.
    pub(super) fn start(broker: Option<u32>) -> Self {
        // The peak of earlier rounds is none of this one's (proc(5), clear_refs); a kernel without it shows theirs.
        drop(std::fs::write("/proc/self/clear_refs", "5"));
        Self { own_us: cpu_us("self"), broker: broker.map(|pid| (pid, cpu_us(&pid.to_string()))) }
    }

    /// What it cost until now.
    pub(super) fn read(&self) -> Cost {
        Cost {
            own_us: cpu_us("self") - self.own_us,
            broker_us: self.broker.map(|(pid, before)| cpu_us(&pid.to_string()) - before),
            peak_rss_kib: peak_rss_kib(),
        }
    }
}

/// A process's CPU time so far, user and system, in microseconds.
fn cpu_us(process: &str) -> f64 {
    let path: PathBuf = ["/proc", process, "stat"].iter().collect();
    let stat = std::fs::read_to_string(path).unwrap_or_default();
    // The name in parentheses may hold spaces; utime and stime are the 12th and 13th fields behind it.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() * TICK_US
}

fn peak_rss_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_costs_time_and_a_process_that_is_not_there_costs_nothing() {
        let meter = Meter::start(Some(0));
        let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
        let mut sum = 0_u64;
        while meter.read().own_us <= 0.0 && std::time::Instant::now() < until {
            sum = (0..10_000_000_u64).fold(sum, |sum, n| sum.wrapping_mul(31) ^ n);
        }
        let cost = meter.read();
        assert!(cost.own_us >= TICK_US, "{cost:?} {sum}");
        assert_eq!(cost.broker_us, Some(0.0));
        assert!(cost.peak_rss_kib.is_some_and(|kib| kib > 100), "{cost:?}");
    }
}
