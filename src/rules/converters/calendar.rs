//! Times as people write them: the ctime-like formats of the Collector (`%Y-%m-%dT%H:%M:%S%z`).
//!
//! Month and day names are English. An abbreviation of a zone (`%Z`) means what it means in the zone the
//! caller names, or is the name of a zone itself (`EST`, `CET`); an offset in the text goes before both. What
//! says no year is of this one, or of the last if it would lie more than a week ahead, and what says no date
//! is today's, as in the Collector.

use crate::rules::civil::{self, Civil};
use crate::rules::trouble::Trouble;
use crate::rules::zones::Zone;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// What stands for a longer format.
fn expanded(letter: char) -> Option<&'static str> {
    Some(match letter {
        'D' | 'x' => "%m/%d/%y",
        'F' => "%Y-%m-%d",
        'T' | 'X' => "%H:%M:%S",
        'r' => "%I:%M:%S %p",
        'R' => "%H:%M",
        'c' => "%a %b %d %H:%M:%S %Y",
        _ => return None,
    })
}

fn unknown(letter: Option<char>) -> Trouble {
    match letter {
        Some(letter) => Trouble(format!("`%{letter}` is nothing a time format knows")),
        None => Trouble::new("a time format can not end in `%`"),
    }
}

/// `nanos` written after `format`.
pub fn write(nanos: i64, format: &str) -> Result<String, Trouble> {
    let at = Civil::of(nanos);
    let mut out = String::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let name = letters.next();
        let twelve = if at.hour % 12 == 0 { 12 } else { at.hour % 12 };
        let month = MONTHS.get(at.month as usize - 1).copied().unwrap_or_default();
        let day = DAYS.get(civil::weekday(nanos) as usize).copied().unwrap_or_default();
        out.push_str(&match name {
            Some('Y') => format!("{:04}", at.year),
            Some('y') => format!("{:02}", at.year.rem_euclid(100)),
            Some('m') => format!("{:02}", at.month),
            Some('o') => format!("{:2}", at.month),
            Some('q') => at.month.to_string(),
            Some('b' | 'h') => month.chars().take(3).collect(),
            Some('B') => month.into(),
            Some('d') => format!("{:02}", at.day),
            Some('e') => format!("{:2}", at.day),
            Some('g') => at.day.to_string(),
            Some('a') => day.chars().take(3).collect(),
            Some('A') => day.into(),
            Some('H') => format!("{:02}", at.hour),
            Some('I') => format!("{twelve:02}"),
            Some('l') => twelve.to_string(),
            Some('p') => if at.hour < 12 { "AM" } else { "PM" }.into(),
            Some('P') => if at.hour < 12 { "am" } else { "pm" }.into(),
            Some('M') => format!("{:02}", at.minute),
            Some('S') => format!("{:02}", at.second),
            Some('L') => format!("{:03}", at.nanosecond / 1_000_000),
            Some('f') => format!("{:06}", at.nanosecond / 1_000),
            Some('s') => format!("{:09}", at.nanosecond),
            Some('z') => "+0000".into(),
            Some('Z') => "UTC".into(),
            Some('i') => "+00".into(),
            Some('j') => "+00:00".into(),
            Some('k') => "+00:00:00".into(),
            Some('w') => "+000000".into(),
            Some('n') => "\n".into(),
            Some('t') => "\t".into(),
            Some('%') => "%".into(),
            other => match other.and_then(expanded) {
                Some(longer) => write(nanos, longer)?,
                None => return Err(unknown(other)),
            },
        });
    }
    Ok(out)
}

/// A time being read: what is not said is as in Go's zero time.
struct Read<'t> {
    at: Civil,
    says_year: bool,
    says_date: bool,
    half: Option<bool>,
    offset: Option<i64>,
    abbreviation: Option<&'t str>,
    rest: &'t str,
}

/// The time that `text` says in `format`, on the clock of `zone` where it says none itself.
pub fn read(text: &str, format: &str, zone: &Zone, now: i64) -> Result<i64, Trouble> {
    let at = Civil { year: 1970, month: 1, day: 1, hour: 0, minute: 0, second: 0, nanosecond: 0 };
    let (says_year, says_date, half) = (false, false, None);
    let mut read = Read { at, says_year, says_date, half, offset: None, abbreviation: None, rest: text };
    read.format(format).and_then(|()| read.finish(zone, now)).map_err(|trouble| {
        let shown: String = text.chars().take(64).collect();
        Trouble(format!("`{shown}` is not a time like `{format}`: {trouble}"))
    })
}

impl Read<'_> {
    fn format(&mut self, format: &str) -> Result<(), Trouble> {
        let mut letters = format.chars();
        while let Some(letter) = letters.next() {
            match letter {
                '%' => {
                    let name = letters.next();
                    self.part(name)?;
                    // A fraction may follow that the format does not name, as in Go.
                    if matches!(name, Some('S' | 'T' | 'X')) && !letters.as_str().starts_with(['.', ',']) {
                        self.unnamed_fraction()?;
                    }
                }
                ' ' => self.rest = self.rest.trim_start_matches(' '),
                other => self.literal(other)?,
            }
        }
        Ok(())
    }

    fn literal(&mut self, letter: char) -> Result<(), Trouble> {
        match self.rest.strip_prefix(letter) {
            Some(rest) => {
                self.rest = rest;
                Ok(())
            }
            None => Err(Trouble(format!("`{letter}` is missing"))),
        }
    }

    fn part(&mut self, name: Option<char>) -> Result<(), Trouble> {
        self.says_year |= matches!(name, Some('Y' | 'y'));
        self.says_date |=
            matches!(name, Some('Y' | 'y' | 'm' | 'o' | 'q' | 'b' | 'h' | 'B' | 'd' | 'e' | 'g' | 'a' | 'A'));
        match name {
            Some('Y') => self.at.year = self.digits(4, 4)?,
            Some('y') => {
                let year = self.digits(2, 2)?;
                self.at.year = if year >= 69 { 1900 + year } else { 2000 + year };
            }
            Some('m') => self.at.month = self.digits(2, 2)?,
            Some('o' | 'q') => self.at.month = self.digits(1, 2)?,
            Some('b' | 'h' | 'B') => self.at.month = self.name(&MONTHS)? + 1,
            Some('d') => self.at.day = self.digits(2, 2)?,
            Some('e' | 'g') => self.at.day = self.digits(1, 2)?,
            Some('a' | 'A') => drop(self.name(&DAYS)?),
            Some('H') => self.at.hour = self.digits(2, 2)?,
            Some('I') => self.at.hour = self.digits(2, 2)?,
            Some('l') => self.at.hour = self.digits(1, 2)?,
            Some('p' | 'P') => self.half = Some(self.name(&["AM", "PM"])? == 1),
            Some('M') => self.at.minute = self.digits(2, 2)?,
            Some('S') => self.at.second = self.digits(2, 2)?,
            Some('L') => self.at.nanosecond = self.fraction(3)?,
            Some('f') => self.at.nanosecond = self.fraction(6)?,
            Some('s') => self.at.nanosecond = self.fraction(9)?,
            Some('z' | 'i' | 'j' | 'k' | 'w') => self.offset = Some(self.zone()?),
            Some('Z') => {
                let len = self.rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.rest.len());
                let (abbreviation, rest) = self.rest.split_at(len);
                (self.abbreviation, self.rest) = (Some(abbreviation), rest);
            }
            Some('n') => self.literal('\n')?,
            Some('t') => self.literal('\t')?,
            Some('%') => self.literal('%')?,
            other => match other.and_then(expanded) {
                Some(longer) => self.format(longer)?,
                None => return Err(unknown(other)),
            },
        }
        Ok(())
    }

    fn unnamed_fraction(&mut self) -> Result<(), Trouble> {
        let Some(rest) = self.rest.strip_prefix(['.', ',']) else { return Ok(()) };
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            self.rest = rest;
            self.at.nanosecond = self.fraction(digits)?;
        }
        Ok(())
    }

    /// So many digits behind the point, as nanoseconds; what is finer is cut.
    fn fraction(&mut self, digits: usize) -> Result<i64, Trouble> {
        let (taken, rest) = self.rest.split_at_checked(digits).unwrap_or((self.rest, ""));
        if taken.len() < digits || !taken.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Trouble(format!("{digits} digits are missing")));
        }
        self.rest = rest;
        format!("{:0<9}", taken.get(..9).unwrap_or(taken)).parse().map_err(|_| Trouble::new("no fraction"))
    }

    fn digits(&mut self, least: usize, most: usize) -> Result<i64, Trouble> {
        let rest = self.rest.trim_start_matches(' ');
        let count = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let (digits, rest) = rest.split_at_checked(count).unwrap_or_default();
        if count < least {
            return Err(Trouble(format!("{least} digits are missing")));
        }
        self.rest = rest;
        digits.parse().map_err(|_| Trouble::new("no number"))
    }

    /// Which of `names` comes next: whole, or its first three letters.
    fn name(&mut self, names: &[&str]) -> Result<i64, Trouble> {
        let starts = |name: &str| {
            self.rest
                .get(..name.len())
                .is_some_and(|found| found.eq_ignore_ascii_case(name))
                .then_some(name.len())
        };
        let short = |name: &str| name.get(..3).and_then(starts);
        let found =
            names.iter().zip(0..).find_map(|(name, nth)| Some((nth, starts(name).or_else(|| short(name))?)));
        let Some((nth, len)) = found else { return Err(Trouble::new("a name is missing")) };
        self.rest = self.rest.get(len..).unwrap_or_default();
        Ok(nth)
    }

    /// `Z`, `+01`, `+0100`, `+01:00` and with seconds.
    fn zone(&mut self) -> Result<i64, Trouble> {
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(0);
        }
        let sign = match self.rest.chars().next() {
            Some('+') => 1,
            Some('-') => -1,
            _ => return Err(Trouble::new("an offset is missing")),
        };
        self.rest = self.rest.get(1..).unwrap_or_default();
        let mut seconds = self.digits(2, 2)? * 3600;
        for unit in [60, 1] {
            let rest = self.rest.strip_prefix(':').unwrap_or(self.rest);
            if rest.bytes().take(2).filter(u8::is_ascii_digit).count() == 2 {
                self.rest = rest;
                seconds += self.digits(2, 2)? * unit;
            }
        }
        Ok(sign * seconds)
    }

    fn finish(&mut self, zone: &Zone, now: i64) -> Result<i64, Trouble> {
        if !self.rest.is_empty() {
            return Err(Trouble::new("there is more than the format says"));
        }
        match self.half {
            Some(true) if self.at.hour < 12 => self.at.hour += 12,
            Some(false) if self.at.hour == 12 => self.at.hour = 0,
            _ => {}
        }
        let today = Civil::of(now);
        if !self.says_date {
            self.at = Civil { year: today.year, month: today.month, day: today.day, ..self.at };
        } else if !self.says_year {
            self.at.year = today.year;
            let (day, last) = (
                civil::days(today.year, self.at.month, self.at.day),
                now.div_euclid(civil::SECOND) / 86_400 + 7,
            );
            self.at.year -= i64::from(day > last);
        }
        let Civil { year, month, day, hour, minute, second, .. } = self.at;
        let is_day = (1..=12).contains(&month) && (1..=civil::days_in(year, month)).contains(&day);
        if !is_day || hour > 23 || minute > 59 || second > 59 {
            return Err(Trouble::new("there is no such moment"));
        }
        let nanos = self.at.nanos(self.offset(zone)?);
        nanos.ok_or_else(|| Trouble::new("a time outside 1677 to 2262"))
    }

    /// Seconds east of UTC.
    fn offset(&self, zone: &Zone) -> Result<i64, Trouble> {
        if let Some(offset) = self.offset {
            return Ok(offset);
        }
        let shown = civil::days(self.at.year, self.at.month, self.at.day) * 86_400
            + self.at.hour * 3600
            + self.at.minute * 60
            + self.at.second;
        match self.abbreviation.filter(|abbreviation| !abbreviation.is_empty()) {
            None => Ok(zone.offset_of_local(shown)),
            Some(abbreviation) => match (zone.offset_named(abbreviation), Zone::named(abbreviation)) {
                (Some(offset), _) => Ok(offset),
                (None, Some(zone)) => Ok(zone.offset_of_local(shown)),
                (None, None) => Err(Trouble(format!("`{abbreviation}` is no zone that is known"))),
            },
        }
    }
}
