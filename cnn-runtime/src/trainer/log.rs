//! The lines that training prints, as Keras prints them.

use std::io::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{EpochLog, Evaluation, Verbose};
use crate::engine::Totals;

/// How the bar looks: `120/157 [=====>....] - ETA: 1s - loss: 0.1542 - accuracy: 0.9514`.
const TEMPLATE: &str = "{pos}/{len} [{bar:30}] - ETA: {eta}{msg}";

/// Time between two drawings of the bar.
const REDRAW: Duration = Duration::from_millis(100);

/// Prints lines and, on a terminal, a live bar. That a line cannot be printed, say because nobody
/// reads any more, is no reason to stop training, so such errors are ignored.
pub(super) struct Log<'a> {
    sink: &'a mut (dyn Write + Send),
    clock: &'a (dyn Fn() -> Duration + Sync),
    verbose: Verbose,
    live: bool,
    bar: Option<ProgressBar>,
    epoch_start: Duration,
    drawn: Duration,
}

impl<'a> Log<'a> {
    /// Prints to `sink`; if `live`, draws a bar on the standard output as well. `clock` tells the
    /// time since any fixed moment.
    pub(super) fn new(
        verbose: Verbose,
        live: bool,
        sink: &'a mut (dyn Write + Send),
        clock: &'a (dyn Fn() -> Duration + Sync),
    ) -> Self {
        let live = live && verbose == Verbose::Bar;
        let (epoch_start, drawn) = (Duration::ZERO, Duration::ZERO);
        Self { sink, clock, verbose, live, bar: None, epoch_start, drawn }
    }

    pub(super) fn start_epoch(&mut self, epoch: usize, epochs: usize, steps: usize) {
        self.say(format_args!("Epoch {epoch}/{epochs}"));
        self.epoch_start = (self.clock)();
        self.drawn = self.epoch_start;
        if self.live {
            let bar =
                ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::stdout());
            bar.set_style(style());
            self.bar = Some(bar);
        }
    }

    /// Shows the figures so far. Called after every step, it allocates only when it draws.
    pub(super) fn step(&mut self, step: usize, steps: usize, totals: Totals) {
        let Some(bar) = &self.bar else { return };
        let now = (self.clock)();
        if now.saturating_sub(self.drawn) >= REDRAW || step == steps {
            self.drawn = now;
            bar.set_position(step as u64);
            bar.set_message(figures("", &totals.into()));
        }
    }

    /// Seconds since the start of the epoch.
    pub(super) fn seconds(&self) -> f64 {
        (self.clock)().saturating_sub(self.epoch_start).as_secs_f64()
    }

    pub(super) fn end_epoch(&mut self, log: &EpochLog, steps: usize) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let train = figures("", &log.train);
        let validation = log.validation.map_or_else(String::new, |v| figures("val_", &v));
        self.say(format_args!("{steps}/{steps} - {:.0}s{train}{validation}", log.seconds));
    }

    pub(super) fn say(&mut self, line: impl std::fmt::Display) {
        if self.verbose != Verbose::Silent {
            let _ = writeln!(self.sink, "{line}").and_then(|()| self.sink.flush());
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template(TEMPLATE).expect("a valid template").progress_chars("=>.")
}

fn figures(prefix: &str, evaluation: &Evaluation) -> String {
    let (loss, accuracy) = (figure(evaluation.loss), figure(evaluation.accuracy));
    format!(" - {prefix}loss: {loss} - {prefix}accuracy: {accuracy}")
}

/// Four decimals, or Python's scientific notation for what would vanish in them.
fn figure(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() || value.abs() > 1e-3 {
        return format!("{value:.4}");
    }
    let scientific = format!("{value:.4e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Python's `:.4f` and `:.4e` print.
    #[test]
    fn figures_are_printed_as_keras_prints_them() {
        let cases = [
            (0.154_24, "0.1542"),
            (1.0, "1.0000"),
            (2.302_55, "2.3026"),
            (0.001_01, "0.0010"),
            (0.001, "1.0000e-03"),
            (5.4321e-5, "5.4321e-05"),
            (0.0, "0.0000e+00"),
            (1e-120, "1.0000e-120"),
            (f64::NAN, "nan"),
            (f64::INFINITY, "inf"),
        ];
        for (value, printed) in cases {
            assert_eq!(figure(value), printed);
        }
    }

    #[test]
    fn the_bar_is_drawn_ten_times_a_second_at_most() {
        let (time, mut sink) = (std::sync::Mutex::new(Duration::ZERO), Vec::new());
        let clock = || {
            let mut time = time.lock().unwrap();
            *time += Duration::from_millis(30);
            *time
        };
        let mut log = Log::new(Verbose::Bar, false, &mut sink, &clock);
        log.start_epoch(1, 1, 10);
        let hidden = ProgressBar::with_draw_target(Some(10), ProgressDrawTarget::hidden());
        log.bar = Some(hidden.with_style(style()));
        let positions: Vec<_> = (1..=10)
            .map(|step| {
                log.step(step, 10, Totals { samples: step, loss: 1.0, correct: 0 });
                log.bar.as_ref().unwrap().position()
            })
            .collect();
        assert_eq!(positions, [0, 0, 0, 4, 4, 4, 4, 8, 8, 10]);
        let message = log.bar.as_ref().unwrap().message();
        assert_eq!(message, " - loss: 0.1000 - accuracy: 0.0000e+00");
    }
}
