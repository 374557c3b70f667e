//! The XML converters, from what OTTL's documentation says of them.

use super::fixture::check_values as check;

#[test]
fn xml_is_taken_apart() {
    check(&[
        (
            r#"ParseXML("<?xml version=\"1.0\"?><Log><ID>00001</ID><Name type=\"first\">Joe</Name></Log>")"#,
            r#"{tag:"Log",children:[{tag:"ID",content:"00001"},{tag:"Name",attributes:{type:"first"},content:"Joe"}]}"#,
        ),
        (
            r#"ParseXML("<Log>\n  several lines of\n  <User id=\"1\"/>\n  text <![CDATA[here]]><!-- no --></Log>")"#,
            r#"{tag:"Log",content:"several lines oftexthere",children:[{tag:"User",attributes:{id:"1"}}]}"#,
        ),
        (r#"ParseXML("<a x=\"1 &lt; 2\"/>")["attributes"]["x"]"#, "\"1 < 2\""),
        (
            r#"ParseXML("<a></a><b></b>")"#,
            "mistake: fails on every item: ParseXML: there is more behind the XML's element",
        ),
        (r#"ParseXML("none")"#, "mistake: fails on every item: ParseXML: there is no element in the XML"),
        (
            r#"ParseXML("<a><b></a>")"#,
            "mistake: fails on every item: ParseXML: not XML: `</a>` where `<b>` is open at byte 9",
        ),
        (r#"ParseXML(attributes["price"])"#, "trouble: ParseXML: wanted a string, found a float"),
        (r#"ParseSimplifiedXML("<a>b</a>")"#, r#"{a:"b"}"#),
        (
            r#"ParseSimplifiedXML("<e><id>1</id><d><t>x</t><c>y</c></d></e>")"#,
            r#"{e:{id:"1",d:{t:"x",c:"y"}}}"#,
        ),
        (r#"ParseSimplifiedXML("<a>1</a><a><![CDATA[2]]></a><a><b>3</b></a>")"#, r#"{a:["1","2",{b:"3"}]}"#),
        (r#"ParseSimplifiedXML("<a>extra<b x=\"y\">3</b><!-- c -->more</a>")"#, r#"{a:{b:"3"}}"#),
        (r#"ParseSimplifiedXML("<a><b>3</b><b/></a>")"#, r#"{a:{b:["3"]}}"#),
        (r#"ParseSimplifiedXML("<a><b><c/></b><d>2</d></a>")"#, r#"{a:{d:"2"}}"#),
        (r#"ParseSimplifiedXML("<a><b>2</b><c><!-- empty --></c></a>")"#, r#"{a:{b:"2"}}"#),
    ]);
}

#[test]
fn parts_of_xml_are_got() {
    check(&[
        (r#"GetXML("<a><b/></a>", "/a/b")"#, "\"<b></b>\""),
        (r#"GetXML("<a><b>1</b><b><c>2</c></b><d/></a>", "/a/*")"#, "\"<b>1</b><b><c>2</c></b><d></d>\""),
        (
            r#"GetXML("<a><x e=\"p\">1</x><b><x e=\"d\">2</x></b></a>", "/a//x[@e='d']")"#,
            r#""<x e=\"d\">2</x>""#,
        ),
        (r#"GetXML("<a>1</a><a>2</a>", "/a[1]")"#, "\"<a>1</a>\""),
        (r#"GetXML("<a foo=\"bar\">t</a>", "/a/@foo")"#, "\"bar\""),
        (r#"GetXML("<a><![CDATA[hello]]></a>", "/a/text()")"#, "\"hello\""),
        (r#"GetXML("", "/")"#, "\"\""),
        (r#"GetXML(body, "/a")"#, "\"\""),
        (
            r#"GetXML(body, "/a[")"#,
            "mistake: not an XPath: expected a step like `name`, `@name` or `*`, found the end",
        ),
    ]);
}

#[test]
fn xml_is_edited() {
    check(&[
        (r#"RemoveXML("<a><b/><c><b>x</b></c></a>", "/a//b")"#, "\"<a><c></c></a>\""),
        (
            r#"RemoveXML("<a><b foo=\"bar\"/><b foo=\"not\"/></a>", "/a/b[@foo='bar']")"#,
            r#""<a><b foo=\"not\"></b></a>""#,
        ),
        (r#"RemoveXML("<a f=\"1\" g=\"2\"/>", "//@f")"#, r#""<a g=\"2\"></a>""#),
        (r#"RemoveXML("<a><!-- x --><b>secret</b>t</a>", "//comment()")"#, "\"<a><b>secret</b>t</a>\""),
        (
            r#"RemoveXML("<?xml version=\"1.0\"?>\n<a><b>secret</b></a>", "//*[contains(text(), 'secret')]")"#,
            r#""<?xml version=\"1.0\"?>\n<a></a>""#,
        ),
        (
            r#"InsertXML("<a></a><z><a/></z>", "//a", "<b/><c x='y'>1</c>")"#,
            r#""<a><b></b><c x=\"y\">1</c></a><z><a><b></b><c x=\"y\">1</c></a></z>""#,
        ),
        (
            r#"InsertXML("<a><b>x</b></a><a/>", "//a[not(b)]", "<b></b>")"#,
            "\"<a><b>x</b></a><a><b></b></a>\"",
        ),
        (r#"InsertXML("", "/", "<a/>")"#, "\"<a></a>\""),
        (
            r#"InsertXML("<a f=\"1\"/>", "/a/@f", "<b/>")"#,
            "mistake: fails on every item: InsertXML: the XPath selects something that is no element",
        ),
        (
            r#"ConvertAttributesToElementsXML("<a h=\"w\" f=\"b\"><b g=\"1\"/>t</a>")"#,
            "\"<a><b><g>1</g></b>t<h>w</h><f>b</f></a>\"",
        ),
        (
            r#"ConvertAttributesToElementsXML("<a h=\"w\"><b g=\"1\"/></a>", "/a/b/@*")"#,
            r#""<a h=\"w\"><b><g>1</g></b></a>""#,
        ),
        (
            r#"ConvertAttributesToElementsXML("<a h=\"w\"><b g=\"1\"/></a>", "/a/b")"#,
            r#""<a h=\"w\"><b g=\"1\"></b></a>""#,
        ),
        (r#"ConvertTextToElementsXML("<a><b>foo</b>bar</a>")"#, "\"<a><b>foo</b><value>bar</value></a>\""),
        (r#"ConvertTextToElementsXML("<a>hello</a>")"#, "\"<a>hello</a>\""),
        (
            r#"ConvertTextToElementsXML("<a>1<b/>2<d>not</d> <e/></a>", elementName="v")"#,
            "\"<a><v>1</v><b></b><v>2</v><d>not</d> <e></e></a>\"",
        ),
        (
            r#"ConvertTextToElementsXML("<a><b><c/>x</b><d><c/>y</d></a>", "/a/b", "V")"#,
            "\"<a><b><c></c><V>x</V></b><d><c></c>y</d></a>\"",
        ),
    ]);
}

#[test]
fn xml_beyond_bounds_is_a_trouble() {
    let deep = format!("{}{}", "<a>".repeat(40), "</a>".repeat(40));
    check(&[
        (
            &format!("ParseXML(\"{deep}\")"),
            "mistake: fails on every item: ParseXML: as a value the XML nests deeper than 64 levels",
        ),
        (&format!("Len(GetXML(\"{deep}\", \"/a/a\"))"), "273"),
    ]);
}
