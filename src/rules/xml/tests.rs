//! XML from the inside: what reads, what is written back, what an XPath selects, and what is too much.

use proptest::prelude::*;

use super::Document;
use super::writing::Edits;
use super::xpath::{Item, XPath};
use crate::rules::tests::fixture::timed;

fn written(text: &str) -> Result<String, String> {
    let document = Document::read(text).map_err(|trouble| trouble.to_string())?;
    let mut out = String::new();
    document.write(0, &Edits::default(), &mut out).map_err(|trouble| trouble.to_string())?;
    Ok(out)
}

#[test]
fn what_is_well_formed_is_written_back() {
    for text in [
        "",
        "text alone",
        "<a></a>",
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a>\n  <b x=\"1\" y='\"'>t &lt; &#x41;</b>\n</a>\n",
        "<a><![CDATA[<not> &an; element]]></a><!-- two --><b></b>",
        "<!DOCTYPE html><ns:a ns:b=\"c\"></ns:a>",
        "<ü></ü>",
    ] {
        assert_eq!(written(text).as_deref(), Ok(text));
    }
    assert_eq!(written("<a  b = 'c' /><d/>").as_deref(), Ok("<a b=\"c\"></a><d></d>"));
}

#[test]
fn what_is_not_says_where() {
    for (text, expect) in [
        ("<a>>>>", "not XML: `<a>` is not closed"),
        ("<a><b></a>", "not XML: `</a>` where `<b>` is open at byte 9"),
        ("</a>", "not XML: `</a>` where nothing is open at byte 3"),
        ("<a b=c></a>", "not XML: an attribute's value without quotes at byte 5"),
        ("<a b></a>", "not XML: no `=` behind the attribute `b` at byte 4"),
        ("<a b=\"c></a>", "not XML: an attribute's value has no closing quote at byte 6"),
        ("<a b=\"1\"c=\"2\"/>", "not XML: no blank before an attribute, and no `>` at byte 8"),
        ("<1></1>", "not XML: no name at byte 1"),
        ("a &unknown; b", "not XML: an unknown entity in the text at byte 0"),
        ("<a>&#xffffffff;</a>", "not XML: an unknown entity in the text at byte 3"),
        ("<!-- no end", "not XML: no `-->` for the `<!--` at byte 0"),
        ("<a", "not XML: no blank before an attribute, and no `>` at byte 2"),
    ] {
        assert_eq!(written(text), Err(expect.to_owned()), "{text}");
    }
}

/// Names, texts and attributes that `xpath` selects.
fn selected(text: &str, xpath: &str) -> Result<Vec<String>, String> {
    let document = Document::read(text).map_err(|trouble| trouble.to_string())?;
    let items = XPath::of(xpath)?.select(&document).map_err(|trouble| trouble.to_string())?;
    let shown = |item| match item {
        Item::Node(0) => "/".to_owned(),
        Item::Node(node) => document.name(node).map_or_else(|| document.text_inside(node), str::to_owned),
        Item::Attribute(node, nth) => format!("@{}", document.attributes(node)[nth].name),
    };
    Ok(items.into_iter().map(shown).collect())
}

const LOG: &str = r#"<log n="1"><r id="1"><name type="archive">old</name><v>5</v></r><r id="2"><name type="user">joe</name><v>7</v></r><!--c--><ns:x>t</ns:x></log>"#;

#[test]
fn an_xpath_selects() {
    for (xpath, expect) in [
        ("/", vec!["/"]),
        ("/log", vec!["log"]),
        ("log/r", vec!["r", "r"]),
        ("//name", vec!["name", "name"]),
        ("/log/*", vec!["r", "r", "ns:x"]),
        ("/log//v/text()", vec!["5", "7"]),
        ("//text()", vec!["old", "5", "joe", "7", "t"]),
        ("//comment()", vec!["c"]),
        ("/log/r/", vec!["r", "r"]),
        ("//@*", vec!["@n", "@id", "@type", "@id", "@type"]),
        ("/log/r[1]/name/text()", vec!["old"]),
        ("/log/r[last()]/name/text()", vec!["joe"]),
        ("/log/r[position() < 2]/@id", vec!["@id"]),
        ("/log/r[@id='2']/v/text()", vec!["7"]),
        ("/log/r[./name/@type=\"archive\"]/v/text()", vec!["5"]),
        ("/log/r[v > 5]/name/text()", vec!["joe"]),
        ("/log/r[v > 5 and name = 'joe' or false()]/v/text()", vec!["7"]),
        ("//r[not(name/@type='user')]/v/text()", vec!["5"]),
        ("//*[contains(text(), 'jo')]", vec!["name"]),
        ("//*[starts-with(name(), 'ns')]", vec!["ns:x"]),
        ("//*[local-name() = 'x']", vec!["ns:x"]),
        ("//ns:x", vec!["ns:x"]),
        ("//@*[local-name() != 'id']", vec!["@n", "@type", "@type"]),
        ("//v/../name/text()", vec!["old", "joe"]),
        ("//v/parent::r/@id", vec!["@id", "@id"]),
        ("//v[. = 7]/ancestor::*", vec!["log", "r"]),
        ("/log/descendant::v", vec!["v", "v"]),
        ("//v | //name[@type='user']", vec!["v", "name", "v"]),
        ("//r[count(*) = 2]/@id", vec!["@id", "@id"]),
        ("//r[string-length(name) = 3][2]/@id", vec!["@id"]),
        ("//text()['*any string*']", vec!["old", "5", "joe", "7", "t"]),
        ("//r[normalize-space(concat(' ', name, ' x')) = 'joe x']/v/text()", vec!["7"]),
        ("//none", vec![]),
    ] {
        assert_eq!(
            selected(LOG, xpath).as_deref(),
            Ok(&expect.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()[..]),
            "{xpath}"
        );
    }
}

#[test]
fn what_is_no_xpath_says_what_was_expected() {
    for (xpath, expect) in [
        ("!", "not an XPath: expected a step like `name`, `@name` or `*`, found `!`"),
        ("", "not an XPath: expected a step like `name`, `@name` or `*`, found the end"),
        ("/a[", "not an XPath: expected a step like `name`, `@name` or `*`, found the end"),
        ("/a[1", "not an XPath: expected `]`, found the end"),
        ("/a[@b='c]", "not an XPath: a string has no closing quote"),
        ("/a[contain(b, 'c')]", "not an XPath: unknown function `contain`; did you mean `contains`?"),
        ("/a[not(b, c)]", "not an XPath: `not` does not take 2 arguments"),
        ("/chld::a", "not an XPath: unknown axis `chld`; did you mean `child`?"),
        ("/a b", "not an XPath: `b` is more than expected"),
    ] {
        assert_eq!(selected(LOG, xpath), Err(expect.to_owned()), "{xpath}");
    }
    assert!(XPath::of(&"a[".repeat(1000)).unwrap_err().contains("nested deeper"));
}

#[test]
fn too_much_is_refused_soon() {
    let deep = "<a>".repeat(2000) + &"</a>".repeat(2000);
    assert_eq!(written(&deep), Err("the XML nests deeper than 1000 levels".into()));
    assert_eq!(written(&"<a/>".repeat(70_000)), Err("the XML has more than 65536 parts".into()));
    let wide = format!("<r>{}</r>", "<a><b/></a>".repeat(30_000));
    let (told, took) = timed(|| selected(&wide, "//a[//b[//a]]").unwrap_err());
    assert_eq!(told, "the XPath looks at more than 4194304 nodes");
    assert!(took.as_secs() < 20, "{took:?}");
    let long = format!("<r>{}<a>{}</a></r>", "<b/>".repeat(50_000), "x".repeat(1 << 20));
    assert_eq!(selected(&long, "//b[contains(/r, 'y')]").unwrap_err(), told);
}

proptest! {
    #[test]
    fn any_heap_of_pieces_is_read_or_refused(
        pieces in proptest::collection::vec(proptest::sample::select(vec![
            "<a", "</a>", "<b>", ">", "/>", " c=\"d\"", "='", "<!--", "-->", "<![CDATA[", "]]>", "<?", "?>", "&amp;", "&", ";", "text", " ", "<!",
        ]), 0..20),
        steps in proptest::collection::vec(proptest::sample::select(vec![
            "/", "//", "a", "@", "*", "[", "]", "1", "'x'", "=", "text()", "not(", ")", ".", "..", "|", " and ", "last()", "::",
        ]), 0..12)
    ) {
        let (text, xpath) = (pieces.concat(), steps.concat());
        if let Ok(once) = written(&text) {
            prop_assert_eq!(written(&once), Ok(once.clone()));
        }
        let _ = selected("<a><a c=\"d\">x</a></a>", &xpath);
    }
}
