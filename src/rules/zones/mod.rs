//! Time zones by name: the offset from UTC that a clock in one has.
//!
//! Built in, so that the same rule means the same on every host and nothing is read from disk: the rules in
//! force, some ten kilobytes. The surprise is what that leaves out: a time before a zone's last change (the
//! United States', 2007) is read by today's rule. Logs are younger.

mod table;

use super::civil;
use crate::model::nearest::did_you_mean;

/// A zone as POSIX writes it (IEEE 1003.1, `TZ`), with months and weeks only.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    standard: Period,
    /// The other one, and when in a year it begins and ends.
    summer: Option<(Period, Change, Change)>,
}

#[derive(Clone, Debug, PartialEq)]
struct Period {
    name: &'static str,
    /// Seconds east of UTC.
    offset: i64,
}

/// A moment of each year, on the clock that is then in force.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Change {
    month: i64,
    /// Which such weekday of the month; 5 is the last.
    week: i64,
    weekday: i64,
    /// Seconds from midnight, which may lie in another day.
    time: i64,
}

const DAY: i64 = 86_400;
/// Of the database that the table is made from.
pub const RELEASE: &str = "2025b";

impl Zone {
    pub const UTC: Self = Self { standard: Period { name: "UTC", offset: 0 }, summer: None };

    /// # Errors
    /// An unknown name, with the nearest one.
    pub fn of(name: &str) -> Result<Self, String> {
        Self::named(name).ok_or_else(|| {
            let names = table::ZONES.iter().flat_map(|(_, names)| names.split(' '));
            format!("unknown time zone `{name}`{}", did_you_mean(name, names))
        })
    }

    /// The zone of this name in the database; abbreviations that are names of zones (`EST`, `CET`) are too.
    pub fn named(name: &str) -> Option<Self> {
        let (rule, _) = table::ZONES.iter().find(|(_, names)| names.split(' ').any(|known| known == name))?;
        Self::parsed(rule)
    }

    fn parsed(rule: &'static str) -> Option<Self> {
        let (standard, rest) = period(rule)?;
        let Some((summer, rest)) = period(rest) else { return Some(Self { standard, summer: None }) };
        // Where the summer says no offset, it is an hour further east.
        let summer = Period {
            offset: if summer.offset == i64::MAX { standard.offset + 3600 } else { summer.offset },
            ..summer
        };
        let mut changes = rest.strip_prefix(',')?.split(',').map(Change::parsed);
        let (begins, ends) = (changes.next()??, changes.next()??);
        Some(Self { standard, summer: Some((summer, begins, ends)) })
    }

    /// Seconds east of UTC at a moment, in Unix seconds.
    pub fn offset_at(&self, unix: i64) -> i64 {
        let Some((summer, begins, ends)) = &self.summer else { return self.standard.offset };
        let year = civil::Civil::of_seconds(unix + self.standard.offset).year;
        let from = begins.seconds(year) - self.standard.offset;
        let to = ends.seconds(year) - summer.offset;
        // South of the equator a year begins and ends in summer.
        let is_summer = if from < to { (from..to).contains(&unix) } else { !(to..from).contains(&unix) };
        if is_summer { summer.offset } else { self.standard.offset }
    }

    /// The offset when the zone's clocks show this, as Go decides: of a moment that is shown twice one is
    /// taken, and one that is skipped lies beside it.
    pub fn offset_of_local(&self, shown: i64) -> i64 {
        self.offset_at(shown - self.offset_at(shown))
    }

    /// The offset that an abbreviation means here.
    pub fn offset_named(&self, abbreviation: &str) -> Option<i64> {
        let summer = self.summer.as_ref().map(|(summer, ..)| summer);
        let mut periods = [Some(&self.standard), summer].into_iter().flatten();
        periods.find(|period| period.name == abbreviation).map(|period| period.offset)
    }
}

/// A name and an offset (`CET-1`, `<+0330>-3:30`), which POSIX counts west of UTC, and what follows.
fn period(text: &'static str) -> Option<(Period, &'static str)> {
    let (name, rest) = match text.strip_prefix('<') {
        Some(inside) => inside.split_once('>')?,
        None => text.split_at(text.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(text.len())),
    };
    if name.is_empty() {
        return None;
    }
    let len = rest.find(|letter: char| !matches!(letter, '0'..='9' | ':' | '+' | '-')).unwrap_or(rest.len());
    let (digits, rest) = rest.split_at(len);
    let offset = if digits.is_empty() { i64::MAX } else { -clock(digits)? };
    Some((Period { name, offset }, rest))
}

/// `[-]hh[:mm[:ss]]` in seconds.
fn clock(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut seconds = 0;
    for (part, unit) in digits.split(':').zip([3600, 60, 1]) {
        seconds += part.parse::<i64>().ok()? * unit;
    }
    Some(sign * seconds)
}

impl Change {
    /// `Mm.w.d[/time]`.
    fn parsed(text: &str) -> Option<Self> {
        let (date, time) = text.split_once('/').unwrap_or((text, "2"));
        let mut parts = date.strip_prefix('M')?.split('.').map(|part| part.parse().ok());
        let (month, week, weekday) = (parts.next()??, parts.next()??, parts.next()??);
        Some(Self { month, week, weekday, time: clock(time)? })
    }

    /// Of a year, in seconds from 1970 on the zone's own clock.
    fn seconds(&self, year: i64) -> i64 {
        let first = civil::days(year, self.month, 1);
        // 1970 began on a Thursday.
        let ahead = (self.weekday - (first + 4)).rem_euclid(7);
        let mut day = ahead + (self.week - 1) * 7;
        if day >= civil::days_in(year, self.month) {
            day -= 7;
        }
        (first + day) * DAY + self.time
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::civil::Civil;

    /// Unix seconds of `YYYY-MM-DD hh:mm`, as a clock in UTC shows it.
    fn utc(text: &str) -> i64 {
        let number = |range: std::ops::Range<usize>| text[range].parse::<i64>().unwrap();
        let at = Civil {
            year: number(0..4),
            month: number(5..7),
            day: number(8..10),
            hour: number(11..13),
            minute: number(14..16),
            second: 0,
            nanosecond: 0,
        };
        at.nanos(0).unwrap() / civil::SECOND
    }

    #[test]
    fn every_zone_of_the_table_reads() {
        let mut names: Vec<_> = table::ZONES.iter().flat_map(|(_, names)| names.split(' ')).collect();
        for (rule, _) in table::ZONES {
            let zone = Zone::parsed(rule).unwrap_or_else(|| panic!("{rule}"));
            assert!(zone.standard.offset.abs() <= 14 * 3600, "{rule}");
            assert_eq!(rule.contains(','), zone.summer.is_some(), "{rule}");
        }
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "a name twice");
        assert!(all > 590);
    }

    #[test]
    fn offsets_change_when_the_clocks_do() {
        for (zone, at, hours) in [
            ("UTC", "2026-07-01 00:00", 0.0),
            ("Europe/Berlin", "2026-01-15 12:00", 1.0),
            ("Europe/Berlin", "2026-03-29 00:59", 1.0),
            ("Europe/Berlin", "2026-03-29 01:00", 2.0),
            ("Europe/Berlin", "2026-10-25 00:59", 2.0),
            ("Europe/Berlin", "2026-10-25 01:00", 1.0),
            ("America/New_York", "2026-03-08 06:59", -5.0),
            ("America/New_York", "2026-03-08 07:00", -4.0),
            ("America/New_York", "2026-11-01 05:59", -4.0),
            ("America/New_York", "2026-11-01 06:00", -5.0),
            ("Australia/Sydney", "2026-01-01 00:00", 11.0),
            ("Australia/Sydney", "2026-07-01 00:00", 10.0),
            ("Europe/Dublin", "2026-07-01 00:00", 1.0),
            ("Europe/Dublin", "2026-01-01 00:00", 0.0),
            ("Asia/Kolkata", "2026-01-01 00:00", 5.5),
            ("America/St_Johns", "2026-07-01 00:00", -2.5),
            ("America/Santiago", "2026-01-01 00:00", -3.0),
            ("America/Santiago", "2026-07-01 00:00", -4.0),
            ("Asia/Jerusalem", "2026-07-01 00:00", 3.0),
            ("Africa/Cairo", "2026-07-01 00:00", 3.0),
            ("Pacific/Chatham", "2026-01-01 00:00", 13.75),
        ] {
            let offset = Zone::of(zone).unwrap().offset_at(utc(at));
            assert_eq!(offset as f64 / 3600.0, hours, "{zone} at {at}");
        }
    }

    #[test]
    fn a_moment_shown_twice_or_never_has_one_offset() {
        let berlin = Zone::of("Europe/Berlin").unwrap();
        // 02:30 is skipped in March and shown twice in October.
        assert_eq!(berlin.offset_of_local(utc("2026-03-29 02:30")), 3600);
        assert_eq!(berlin.offset_of_local(utc("2026-10-25 02:30")), 3600);
        assert_eq!(berlin.offset_of_local(utc("2026-07-01 00:30")), 7200);
        assert_eq!(berlin.offset_named("CEST"), Some(7200));
        assert_eq!(berlin.offset_named("EST"), None);
        assert_eq!(
            Zone::of("Europe/Berln").unwrap_err(),
            "unknown time zone `Europe/Berln`; did you mean `Europe/Berlin`?"
        );
    }
}
