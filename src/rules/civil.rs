//! The calendar: Unix nanoseconds to days, hours and back, in UTC. No time zone database, no clock.
//!
//! Days are counted as Howard Hinnant's "chrono-compatible low-level date algorithms" do, from 1 March, so
//! that the leap day is a year's last.

const DAY_SECONDS: i64 = 86_400;
pub const SECOND: i64 = 1_000_000_000;

/// A moment, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    pub year: i64,
    /// 1 to 12.
    pub month: i64,
    /// 1 to 31.
    pub day: i64,
    pub hour: i64,
    pub minute: i64,
    pub second: i64,
    pub nanosecond: i64,
}

/// Days from 1970-01-01 to this day of the proleptic Gregorian calendar.
pub fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// How many days a month has.
pub fn days_in(year: i64, month: i64) -> i64 {
    let next = if month == 12 { days(year + 1, 1, 1) } else { days(year, month + 1, 1) };
    next - days(year, month, 1)
}

impl Civil {
    pub fn of(nanos: i64) -> Self {
        Self { nanosecond: nanos.rem_euclid(SECOND), ..Self::of_seconds(nanos.div_euclid(SECOND)) }
    }

    /// Of Unix seconds within some millions of years.
    pub fn of_seconds(seconds: i64) -> Self {
        let (day, time) = (seconds.div_euclid(DAY_SECONDS), seconds.rem_euclid(DAY_SECONDS));
        let shifted = day + 719_468;
        let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let leaps = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
        let year_of_era = (day_of_era - leaps) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = (march_month + 2) % 12 + 1;
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * march_month + 2) / 5 + 1,
            hour: time / 3600,
            minute: time / 60 % 60,
            second: time % 60,
            nanosecond: 0,
        }
    }

    /// Unix nanoseconds of this moment, `offset` seconds east of UTC. `None` outside 1677 to 2262.
    pub fn nanos(&self, offset: i64) -> Option<i64> {
        let day = days(self.year, self.month, self.day);
        let time = self.hour * 3600 + self.minute * 60 + self.second - offset;
        let seconds = i128::from(day) * i128::from(DAY_SECONDS) + i128::from(time);
        i64::try_from(seconds * i128::from(SECOND) + i128::from(self.nanosecond)).ok()
    }
}

/// 0 is Sunday.
pub fn weekday(nanos: i64) -> i64 {
    (nanos.div_euclid(SECOND).div_euclid(DAY_SECONDS) + 4).rem_euclid(7)
}

/// As RFC 3339 has it, without the trailing zeros of the fraction.
pub fn rfc3339(nanos: i64) -> String {
    let Civil { year, month, day, hour, minute, second, nanosecond } = Civil::of(nanos);
    let fraction = format!(".{nanosecond:09}");
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_count_both_ways_over_every_day_a_time_can_be_in() {
        let first = i64::MIN.div_euclid(SECOND * DAY_SECONDS) + 1;
        let last = i64::MAX / (SECOND * DAY_SECONDS);
        for day in first..=last {
            let civil = Civil::of(day * DAY_SECONDS * SECOND);
            assert_eq!(days(civil.year, civil.month, civil.day), day, "{civil:?}");
            assert!((1..=days_in(civil.year, civil.month)).contains(&civil.day), "{civil:?}");
        }
    }

    #[test]
    fn moments_known_from_elsewhere_agree() {
        for (nanos, text, day) in [
            (0, "1970-01-01T00:00:00Z", 4),
            (1_700_000_000_123_000_000, "2023-11-14T22:13:20.123Z", 2),
            (951_782_400 * SECOND, "2000-02-29T00:00:00Z", 2),
            (-1, "1969-12-31T23:59:59.999999999Z", 3),
        ] {
            assert_eq!((rfc3339(nanos).as_str(), weekday(nanos)), (text, day));
            assert_eq!(Civil::of(nanos).nanos(0), Some(nanos));
        }
        assert_eq!(Civil::of(0).nanos(3600), Some(-3600 * SECOND));
        assert_eq!(Civil { year: 2300, ..Civil::of(0) }.nanos(0), None);
    }
}
