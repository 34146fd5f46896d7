//! What the device is for: a thermometer. The sensor is a formula; its readings are printed.
//!
//! From version 2 on the firmware smooths the readings and keeps their range: the code that makes two versions differ.

use core::fmt;

/// Between two readings.
const READING_MS: u64 = 5_000;

/// Takes a reading every few seconds.
pub(crate) struct Thermometer {
    next_ms: u64,
    readings: u32,
    #[cfg(statistics)]
    statistics: Statistics,
}

impl Thermometer {
    pub(crate) const fn new() -> Self {
        Self {
            next_ms: READING_MS,
            readings: 0,
            #[cfg(statistics)]
            statistics: Statistics::new(),
        }
    }

    /// When [`Thermometer::line`] has something to say.
    pub(crate) const fn poll_timeout(&self) -> u64 {
        self.next_ms
    }

    /// What to print, if a reading is due.
    pub(crate) fn line(&mut self, now_ms: u64) -> Option<impl fmt::Display + use<>> {
        if now_ms < self.next_ms {
            return None;
        }
        self.next_ms = now_ms + READING_MS;
        let reading = sensor(self.readings);
        self.readings = self.readings.wrapping_add(1);
        #[cfg(statistics)]
        return Some(Line(self.statistics.after(reading)));
        #[cfg(not(statistics))]
        return Some(Line(Reading(reading)));
    }
}

/// The emulated sensor: a slow wave around 21 °C with some noise on it, in thousandths of a degree.
fn sensor(reading: u32) -> i32 {
    let phase = (reading % 64) as i32;
    let wave = if phase < 32 { phase } else { 64 - phase } * 50 - 800;
    let noise = (reading.wrapping_mul(0x9E37_79B9) >> 25) as i32 - 64;
    21_000 + wave + noise
}

/// What is printed of a reading.
struct Line<T>(T);

impl<T: fmt::Display> fmt::Display for Line<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "temperature {}", self.0)
    }
}

/// A temperature in thousandths of a degree Celsius.
struct Reading(i32);

impl fmt::Display for Reading {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let tenths = self.0.unsigned_abs() / 100;
        write!(formatter, "{sign}{}.{} C", tenths / 10, tenths % 10)
    }
}

#[cfg(any(statistics, test))]
use statistics::Statistics;

#[cfg(any(statistics, test))]
mod statistics {
    use core::fmt;

    use super::Reading;

    /// How much a new reading moves the smoothed value: an eighth.
    const SMOOTHING: i32 = 8;

    /// Smoothed value and range, all in thousandths of a degree.
    #[derive(Clone, Copy)]
    pub(super) struct Statistics {
        smoothed: i32,
        lowest: i32,
        highest: i32,
        readings: u32,
    }

    impl Statistics {
        pub(super) const fn new() -> Self {
            Self {
                smoothed: 0,
                lowest: i32::MAX,
                highest: i32::MIN,
                readings: 0,
            }
        }

        /// Takes a reading in; what is known then.
        pub(super) fn after(&mut self, reading: i32) -> Self {
            self.smoothed = if self.readings == 0 {
                reading
            } else {
                self.smoothed + (reading - self.smoothed) / SMOOTHING
            };
            self.lowest = self.lowest.min(reading);
            self.highest = self.highest.max(reading);
            self.readings = self.readings.saturating_add(1);
            *self
        }
    }

    impl fmt::Display for Statistics {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            let spread = Reading(self.highest - self.lowest);
            write!(
                formatter,
                "{}, spread of {} readings: {spread}",
                Reading(self.smoothed),
                self.readings
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_due_every_five_seconds() {
        let mut thermometer = Thermometer::new();
        assert!(thermometer.line(4_999).is_none());
        assert!(thermometer.line(5_000).is_some());
        assert!(thermometer.line(5_001).is_none());
        assert_eq!(thermometer.poll_timeout(), 10_000);
    }

    #[test]
    fn readings_are_of_a_living_room() {
        for reading in 0..1_000 {
            assert!((20_000..23_000).contains(&sensor(reading)));
        }
        assert_eq!(Reading(-250).to_string(), "-0.2 C");
        assert_eq!(Line(Reading(21_340)).to_string(), "temperature 21.3 C");
    }

    #[test]
    fn statistics_smooth_and_keep_the_range() {
        let mut statistics = Statistics::new();
        let _ = statistics.after(20_000);
        let line = statistics.after(21_600).to_string();
        assert_eq!(line, "20.2 C, spread of 2 readings: 1.6 C");
    }
}
