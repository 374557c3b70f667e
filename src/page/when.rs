//! Unix times as people and most programs write them: RFC 3339, in UTC, to the nanosecond.

/// `2026-11-22T11:44:39.902890285Z`.
pub fn rfc3339(unix_nano: u64) -> String {
    let (seconds, nanos) = (unix_nano / 1_000_000_000, unix_nano % 1_000_000_000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
}

/// The Gregorian date of a day since 1970: years begin in March, so that leap days come last.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (year + 400 * era + later, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_they_were() {
        for (nanos, expect) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (951_827_696_000_000_007, "2000-02-29T12:34:56.000000007Z"),
            (1_795_347_879_902_890_285, "2026-11-22T11:44:39.902890285Z"),
            (u64::MAX, "2554-07-21T23:34:33.709551615Z"),
        ] {
            assert_eq!(rfc3339(nanos), expect);
        }
    }
}
