//! W3C `tracestate`: a list of `key=value`, newest first (W3C Trace Context, section 3.3).

use super::trouble::Trouble;

/// At most so many members are kept when one is added (3.3.1.1).
const MEMBERS_MAX: usize = 32;

fn members(state: &str) -> impl Iterator<Item = (&str, &str)> {
    state.split(',').filter_map(|member| member.trim().split_once('='))
}

/// The value of `key`.
pub fn get(state: &str, key: &str) -> Option<String> {
    members(state).find(|(name, _)| *name == key).map(|(_, value)| value.to_owned())
}

/// `state` with `key` at its head, as whoever changes a member has to put it.
///
/// # Errors
/// When the key or the value has characters that may not stand there.
pub fn set(state: &str, key: &str, value: &str) -> Result<String, Trouble> {
    let key_char = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-*/@".contains(c);
    if key.is_empty() || key.len() > 256 || !key.chars().all(key_char) {
        return Err(Trouble(format!("`{key}` can not be a key of a trace state")));
    }
    let value_char = |c: char| (' '..='~').contains(&c) && c != ',' && c != '=';
    if value.len() > 256 || !value.chars().all(value_char) || value.ends_with(' ') {
        return Err(Trouble::new("a value that can not stand in a trace state"));
    }
    let others = members(state).filter(|(name, _)| *name != key).take(MEMBERS_MAX - 1);
    let others = others.map(|(name, value)| format!(",{name}={value}"));
    Ok(std::iter::once(format!("{key}={value}")).chain(others).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_found_and_a_written_one_comes_first() {
        assert_eq!(get("a=1, b=2", "b").as_deref(), Some("2"));
        assert_eq!(get("a=1", "b"), None);
        assert_eq!(set("a=1,b=2", "b", "3").as_deref(), Ok("b=3,a=1"));
        assert_eq!(set("", "ot", "th:8").as_deref(), Ok("ot=th:8"));
        assert!(set("", "Upper", "x").is_err());
        assert!(set("", "a", "x,y").is_err());
        let many = (0..40).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        assert_eq!(members(&set(&many, "new", "x").unwrap()).count(), 32);
    }
}
