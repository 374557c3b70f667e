//! Each converter with inputs and results, from what OTTL's documentation says of it.

use super::fixture::check_values as check;

#[test]
fn types_are_told_and_converted() {
    check(&[
        (r#"IsString(attributes["name"])"#, "true"),
        (r#"IsString(attributes["price"])"#, "false"),
        (r#"IsInt(1)"#, "true"),
        (r#"IsInt(attributes["price"])"#, "false"),
        (r#"IsDouble(attributes["price"])"#, "true"),
        (r#"IsBool(false)"#, "true"),
        (r#"IsMap(attributes["map"])"#, "true"),
        (r#"IsList(attributes["list"])"#, "true"),
        (r#"IsList(attributes["map"])"#, "false"),
        (r#"IsEmpty(attributes["none"])"#, "true"),
        (r#"IsEmpty("")"#, "true"),
        (r#"IsEmpty(attributes["list"])"#, "false"),
        (r#"IsEmpty(span_id)"#, "true"),
        (r#"IsEmpty(trace_id)"#, "false"),
        (r#"String("test")"#, "\"test\""),
        (r#"String(1.0)"#, "\"1\""),
        (r#"String(attributes["raw"])"#, "\"01ff\""),
        (r#"String(attributes["map"])"#, r#""{\"a\":\"x y\",\"b\":2}""#),
        (r#"String([1, 2, 3])"#, "\"[1,2,3]\""),
        (r#"String(nil)"#, "nil"),
        (r#"Int("12")"#, "12"),
        (r#"Int("2.0")"#, "nil"),
        (r#"Int(attributes["price"])"#, "1"),
        (r#"Int(true)"#, "1"),
        (r#"Int(-1.9)"#, "-1"),
        (r#"Double("2.5")"#, "2.5"),
        (r#"Double(3)"#, "3.0"),
        (r#"Double("x")"#, "nil"),
        (r#"Bool("T")"#, "true"),
        (r#"Bool(0)"#, "false"),
        (r#"Bool("yes")"#, "nil"),
        (r#"Log(1)"#, "0.0"),
        (r#"Log(0)"#, "mistake: fails on every item: Log: 0 has no logarithm"),
    ]);
}

#[test]
fn strings_are_made_and_taken_apart() {
    check(&[
        (r#"Concat(["a", 1, true, attributes["none"], attributes["price"]], "-")"#, "\"a-1-true-<nil>-1.5\""),
        (r#"Concat([trace_id, "x"], ":")"#, "\"0102030405060708090a0b0c0d0e0f10:x\""),
        (r#"Split("a|b|c", "|")"#, r#"["a","b","c"]"#),
        (r#"Split("a|b|c", "|")[1]"#, "\"b\""),
        (r#"Split(attributes["price"], "|")"#, "trouble: Split: wanted a string, found a float"),
        (r#"Substring("123456789", 0, 3)"#, "\"123\""),
        (r#"Substring("一二三", 0, 4, true)"#, "\"一\""),
        (
            r#"Substring("abc", 2, 2)"#,
            "mistake: fails on every item: Substring: 2 bytes from 2 are not in a string of 3",
        ),
        (r#"ToUpperCase("Abc")"#, "\"ABC\""),
        (r#"ToLowerCase("AbC")"#, "\"abc\""),
        (r#"ToSnakeCase("MyMetricName")"#, "\"my_metric_name\""),
        (r#"ToSnakeCase("HTTPServer")"#, "\"http_server\""),
        (r#"ToCamelCase(attributes["name"])"#, "\"MyMetricName\""),
        (r#"ConvertCase("myMetric", "snake")"#, "\"my_metric\""),
        (r#"ConvertCase("my_metric", "camel")"#, "\"MyMetric\""),
        (r#"Trim(" a b ")"#, "\"a b\""),
        (r#"Trim("!!a!!", "!!")"#, "\"a\""),
        (r#"TrimPrefix("ingest_x", "ingest_")"#, "\"x\""),
        (r#"TrimSuffix("x_service", "_service")"#, "\"x\""),
        (r#"TrimSuffix("x", "_service")"#, "\"x\""),
        (r#"HasPrefix("ingest_service", "ingest_")"#, "true"),
        (r#"HasSuffix("ingest_service", "x")"#, "false"),
        (r#"Index("hello world", "world")"#, "6"),
        (r#"Format("%02d", [7])"#, "\"07\""),
        (r#"Format("%04d-%02d-%02d", [Year(Now()), Month(Now()), Day(Now())])"#, "\"2026-11-25\""),
        (
            r#"Format("%s is %v %q %5.1f|%-4d|%x %e %t %%", ["a", 2, "q", 3.14159, 5, 255, 12345.678, true])"#,
            r#""a is 2 \"q\"   3.1|5   |ff 1.234568e+04 true %""#,
        ),
        (r#"Format("%d %s", ["x"])"#, "\"%!d(string=x) %!s(MISSING)\""),
        (r#"Format("a", [1])"#, "\"a%!(EXTRA int64=1)\""),
    ]);
}

#[test]
fn patterns_match_and_extract() {
    check(&[
        (r#"IsMatch("string", ".*ring")"#, "true"),
        (r#"IsMatch(attributes["none"], ".*")"#, "false"),
        (r#"IsMatch(attributes["price"], "^1\\.5$")"#, "true"),
        (r#"IsMatch(attributes["map"], "x y")"#, "true"),
        (r#"ExtractPatterns("GIT_SHA=ab12 x", "GIT_SHA=(?P<git.sha>\\w+)")"#, r#"{git.sha:"ab12"}"#),
        (r#"ExtractPatterns("none", "GIT_SHA=(?P<sha>\\w+)")"#, "{}"),
        (
            r#"ExtractGrokPatterns("10.0.0.1 GET 1234", "%{IP:client} %{WORD:method} %{NUMBER:bytes:int}")"#,
            r#"{client:"10.0.0.1",method:"GET",bytes:1234}"#,
        ),
        (
            r#"ExtractGrokPatterns("http://user:pw@example.org:80/a?b=c", "%{URI}", false)"#,
            r#"{URI:"http://user:pw@example.org:80/a?b=c"}"#,
        ),
        (
            r#"ExtractGrokPatterns("ann:secret:rest", "%{USERNAME:user.name}:%{PASSWORD:user.password}:%{INFO}", true, ["PASSWORD=%{WORD}", "INFO=%{GREEDYDATA}"])"#,
            r#"{user.name:"ann",user.password:"secret"}"#,
        ),
        (
            r#"ExtractGrokPatterns("2026-11-25T14:51:21Z WARN x", "%{TIMESTAMP_ISO8601:t} %{LOGLEVEL:l}")"#,
            r#"{t:"2026-11-25T14:51:21Z",l:"WARN"}"#,
        ),
        (
            r#"ExtractGrokPatterns("x", "%{NUMBR:x}")"#,
            "mistake: unknown pattern `%{NUMBR}`; did you mean `NUMBER`?",
        ),
    ]);
}

#[test]
fn texts_are_parsed() {
    check(&[
        ("ParseJSON(body)", r#"{user:"ann",id:7.0,ok:true,tags:["x",nil]}"#),
        (r#"ParseJSON("[1, \"a\"]")"#, r#"[1.0,"a"]"#),
        (r#"ParseJSON(body)["user"]"#, "\"ann\""),
        (
            r#"ParseJSON(attributes["line"])"#,
            "trouble: ParseJSON: not JSON: expected value at line 1 column 1",
        ),
        (r#"ParseKeyValue(attributes["line"])"#, r#"{k1:"v1",k2:"two words"}"#),
        (r#"ParseKeyValue("k1!v1_k2!v2", "!", "_")"#, r#"{k1:"v1",k2:"v2"}"#),
        (r#"ToKeyValueString({"k2": "v=2", "k1": 1}, sort_output=true)"#, r#""k1=1 k2=\"v=2\"""#),
        (r#"ToKeyValueString(attributes["map"], ":", ",", true)"#, r#""a:x y,b:2""#),
        (r#"ParseCSV("999,\"Joe, S\",x", "phone,name,mail")"#, r#"{phone:"999",name:"Joe, S",mail:"x"}"#),
        (r#"ParseCSV("1|2", "a;b", delimiter="|", headerDelimiter=";")"#, r#"{a:"1",b:"2"}"#),
        (r#"ParseCSV("a \"b\" c,2", "x,y", mode="lazyQuotes")"#, r#"{x:"a \"b\" c",y:"2"}"#),
        (r#"ParseCSV("\"1,2\"", "x,y", mode="ignoreQuotes")"#, r#"{x:"\"1",y:"2\""}"#),
        (r#"ParseCSV("1", "x,y")"#, "mistake: fails on every item: ParseCSV: 1 fields for 2 headers"),
        (r#"ParseInt("0b1111_0000", 0)"#, "240"),
        (r#"ParseInt("-0xFF", 0)"#, "-255"),
        (r#"ParseInt("-0o123", 0)"#, "-83"),
        (r#"ParseInt("AA", 16)"#, "170"),
        (r#"ParseInt("-20", 8)"#, "-16"),
        (
            r#"URL("http://www.example.com")"#,
            r#"{url.original:"http://www.example.com",url.domain:"www.example.com",url.scheme:"http",url.path:""}"#,
        ),
        (r#"URL("http://u:p@h:80/foo.gif?k=v#f")["url.port"]"#, "80"),
        (r#"URL("http://u:p@h:80/foo.gif?k=v#f")["url.extension"]"#, "\"gif\""),
        (r#"URL("http://[::1]:8080/a")["url.domain"]"#, "\"::1\""),
        (
            r#"ParseSeverity(503, {"error": [{"range": {"min": 400, "max": 499}}, {"range": "5xx"}], "info": [{"equals": ["inf"]}]})"#,
            "\"error\"",
        ),
        (r#"ParseSeverity("inf", {"error": [{"range": "5xx"}], "info": [{"equals": ["inf"]}]})"#, "\"info\""),
    ]);
}

#[test]
fn times_and_durations_are_read_written_and_cut() {
    check(&[
        (r#"UnixSeconds(Time("02/04/2023", "%m/%d/%Y"))"#, "1675468800"),
        (r#"UnixSeconds(Time("Feb 15, 2023", "%b %d, %Y"))"#, "1676419200"),
        (r#"UnixSeconds(Time("2012-11-01T22:08:41+0100", "%Y-%m-%dT%H:%M:%S%z"))"#, "1351804121"),
        (r#"UnixNano(Time("2023-05-26 12:34:56.789", "%F %T"))"#, "1685104496789000000"),
        (r#"UnixMilli(Time("2023-05-26 12:34:56.789", "%Y-%m-%d %H:%M:%S.%L"))"#, "1685104496789"),
        (r#"UnixSeconds(Time("05/26/23 02:00:00 PM", "%D %r"))"#, "1685109600"),
        (r#"FormatTime(Time("02/04/2023", "%m/%d/%Y"), "%A %h %e %Y")"#, "\"Saturday Feb  4 2023\""),
        (
            r#"FormatTime(Now(), "%Y-%m-%dT%H:%M:%S.%fZ %p %j %a")"#,
            "\"2026-11-25T14:51:21.123456Z PM +00:00 Wed\"",
        ),
        (r#"FormatTime(TruncateTime(time, Duration("10h")), "%F %T")"#, "\"2026-11-25 14:00:00\""),
        (r#"UnixSeconds(Time("2026-07-01 12:00", "%Y-%m-%d %H:%M", "America/New_York"))"#, "1782921600"),
        (r#"UnixSeconds(Time("2026-01-01 12:00", "%Y-%m-%d %H:%M", "America/New_York"))"#, "1767286800"),
        (r#"UnixSeconds(Time("2023-05-26 12:34:56 HST", "%Y-%m-%d %H:%M:%S %Z"))"#, "1685140496"),
        (r#"UnixSeconds(Time("2026-07-01 12:00 CEST", "%Y-%m-%d %H:%M %Z", "Europe/Paris"))"#, "1782900000"),
        (r#"UnixSeconds(Time("2012-11-01T22:08:41+0000 EST", "%Y-%m-%dT%H:%M:%S%z %Z"))"#, "1351807721"),
        (r#"UnixSeconds(Time("2026-07-01 12:00+05:30", "%F %R%j", "Europe/Paris"))"#, "1782887400"),
        (r#"UnixSeconds(Time("12:00", "%R", ""))"#, "1795608000"),
        (r#"UnixSeconds(Time("Dec 01 00:00:00", "%b %d %T"))"#, "1796083200"),
        (r#"UnixSeconds(Time("Dec 24 00:00:00", "%b %d %T"))"#, "1766534400"),
        (
            r#"Time("12:00 XYZ", "%R %Z")"#,
            "trouble: Time: `12:00 XYZ` is not a time like `%R %Z`: `XYZ` is no zone that is known",
        ),
        (
            r#"Time("1", "%d", "Europe/Pris")"#,
            "mistake: unknown time zone `Europe/Pris`; did you mean `Europe/Paris`?",
        ),
        (
            r#"Time("1", "%d", locale="it")"#,
            "mistake: `locale` of `Time` is one of en, en-US, en-GB, not `it`",
        ),
        (r#"Hour(time)"#, "14"),
        (r#"Minute(time)"#, "51"),
        (r#"Second(time)"#, "21"),
        (r#"Nanosecond(time)"#, "123456789"),
        (r#"Weekday(time)"#, "3"),
        (r#"Hours(Duration("90m"))"#, "1.5"),
        (r#"Minutes(Duration("1h30s"))"#, "60.5"),
        (r#"Seconds(Duration("333ms"))"#, "0.333"),
        (r#"Milliseconds(Duration("1.5s"))"#, "1500"),
        (r#"Microseconds(Duration("-1ms"))"#, "-1000"),
        (r#"Nanoseconds(Duration("1us") + Duration("1ns"))"#, "1001"),
        (r#"UnixSeconds(Unix(1672527600))"#, "1672527600"),
        (r#"UnixMicro(Unix(1, 2000))"#, "1000002"),
        (r#"Nanoseconds(Now() - time)"#, "0"),
        (
            r#"Duration("3 s")"#,
            "mistake: fails on every item: Duration: `3 s` is no duration; write it like `1h30m`, `1.5s`, `300ms`",
        ),
        (
            r#"Now()"#,
            "trouble: set: a time can not be stored; write `UnixNano(…)`, `FormatTime(…)` or `Nanoseconds(…)` of it",
        ),
        (
            r#"Time("2023-02-30", "%F")"#,
            "mistake: fails on every item: Time: `2023-02-30` is not a time like `%F`: there is no such moment",
        ),
    ]);
}

#[test]
fn hashes_are_what_their_standards_say() {
    check(&[
        (r#"FNV("hello world")"#, "8618312879776256743"),
        (r#"MD5("hello world")"#, "\"5eb63bbbe01eeed093cb22bb8f5acdc3\""),
        (r#"SHA1("hello world")"#, "\"2aae6c35c94fcfb415dbe95f408b9ce91ee846ed\""),
        (r#"SHA256("hello world")"#, "\"b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9\""),
        (r#"Substring(SHA512("abc"), 0, 16)"#, "\"ddaf35a193617aba\""),
        (r#"XXH3("")"#, "\"2d06800538d394c2\""),
        (r#"XXH128("")"#, "\"99aa06d3014798d86001c324468d497f\""),
        (r#"Murmur3Hash("Hello World")"#, "\"ce837619\""),
        (r#"Murmur3Hash128("Hello World")"#, "\"dbc2a0c1ab26631a27b4c09fcf1fe683\""),
        (r#"SHA256(attributes["price"])"#, "trouble: SHA256: wanted a string, found a float"),
    ]);
}

#[test]
fn ids_are_made_of_bytes_and_of_digits() {
    check(&[
        (r#"TraceID(0x00112233445566778899aabbccddeeff)"#, "0x00112233445566778899aabbccddeeff"),
        (r#"SpanID("0102030405060708")"#, "0x0102030405060708"),
        (
            r#"SpanID("01020304")"#,
            "mistake: fails on every item: SpanID: an id of 8 bytes is 16 hexadecimal digits",
        ),
        (r#"ProfileID("a389023abaa839283293ed323892389d")"#, "0xa389023abaa839283293ed323892389d"),
        (r#"Len(UUID())"#, "36"),
        (r#"Substring(UUIDv7(), 0, 15)"#, "\"01a21330-96a3-7\""),
        (
            r#"IsMatch(UUID(), "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")"#,
            "true",
        ),
        (r#"Index([UUID()], UUID())"#, "-1"),
    ]);
}

#[test]
fn lists_and_maps_are_counted_searched_and_sorted() {
    check(&[
        (r#"Len(attributes["list"])"#, "3"),
        (r#"Len(attributes["map"])"#, "2"),
        (r#"Len("abc")"#, "3"),
        (r#"Keys(attributes["map"])"#, r#"["b","a"]"#),
        (r#"Values({"k": 1, "l": [2]})"#, "[1,[2]]"),
        (r#"Coalesce([attributes["none"], nil, attributes["price"], 2])"#, "1.5"),
        (r#"ContainsValue(attributes["list"], 3)"#, "true"),
        (r#"ContainsValue(["GET", "PUT"], "POST")"#, "false"),
        (r#"Index(attributes["list"], 2)"#, "2"),
        (r#"Sort(attributes["list"])"#, "[1,2,3]"),
        (r#"Sort(attributes["list"], "desc")"#, "[3,2,1]"),
        (r#"Sort([2, 1.5, 1])"#, "[1,1.5,2]"),
        (r#"Sort(["b", 1, true, "a"])"#, r#"[1,"a","b",true]"#),
        (
            r#"SliceToMap([{"name": "foo", "value": 2}, {"name": "bar", "value": 5}], ["name"], ["value"])"#,
            "{foo:2,bar:5}",
        ),
        (r#"SliceToMap([{"name": "foo"}])"#, r#"{0:{name:"foo"}}"#),
        (r#"IsValidLuhn("17893729974")"#, "true"),
        (r#"IsValidLuhn(17893729975)"#, "false"),
        (r#"attributes["list"][3]"#, "trouble: index 3 is outside a list of 3"),
        (r#"attributes["map"]["none"]["deeper"]"#, "nil"),
    ]);
}

#[test]
fn bytes_and_addresses_are_understood() {
    check(&[
        (r#"Base64Encode("test string")"#, "\"dGVzdCBzdHJpbmc=\""),
        (r#"Base64Encode("a?>", "base64-raw-url")"#, "\"YT8-\""),
        (r#"Base64Decode("aGVsbG8gd29ybGQ=")"#, "\"hello world\""),
        (r#"Decode("aGVsbG8gd29ybGQ", "base64-raw")"#, "\"hello world\""),
        (r#"Decode(0x6869, "us-ascii")"#, "\"hi\""),
        (r#"Decode(0xfffe6100fc00, "utf-16")"#, "\"aü\""),
        (r#"Decode(0x0061, "utf-16be")"#, "\"a\""),
        (r#"Decode(0x61, "utf-16le")"#, "mistake: fails on every item: Decode: not utf-16le"),
        (r#"Decode(0x8061ff, "windows-1252")"#, "\"€aÿ\""),
        (r#"Hex(attributes["raw"])"#, "\"01ff\""),
        (r#"Hex(12)"#, "\"000000000000000c\""),
        (r#"Hex(1.1)"#, "\"3ff199999999999a\""),
        (r#"Hex("1")"#, "\"31\""),
        (r#"Hex(true)"#, "\"01\""),
        (r#"IsInCIDR(attributes["ip"], ["192.168.0.0/16", "10.0.0.0/8"])"#, "true"),
        (r#"IsInCIDR("2001:db8::1", ["2001:db8::/32"])"#, "true"),
        (r#"IsInCIDR("11.0.0.1", ["10.0.0.0/8", "0.0.0.0/0"])"#, "true"),
        (r#"IsInCIDR("x", ["10.0.0.0/8"])"#, "mistake: fails on every item: IsInCIDR: `x` is no address"),
    ]);
}

#[test]
fn flows_have_one_name_both_ways() {
    check(&[
        (r#"CommunityID("1.2.3.4", 12345, "5.6.7.8", 80)"#, "\"1:0by3b/tE95hcOzccyt6d4kjgbZc=\""),
        (r#"CommunityID("5.6.7.8", 80, "1.2.3.4", 12345, "TCP")"#, "\"1:0by3b/tE95hcOzccyt6d4kjgbZc=\""),
        (
            r#"CommunityID("192.168.1.1", 53, "10.10.10.10", 53000, "UDP")"#,
            "\"1:gQ05/45srnixHs8V/2ejpkxhBwg=\"",
        ),
        (r#"CommunityID("2001:db8::1", 8080, "2001:db8::2", 443)"#, "\"1:c5m26SNBLmvfaBQJNWKXZwUGGcM=\""),
        (r#"CommunityID("2001:db8::1", 8080, "10.1.1.1", 443)"#, "\"1:T1e3va6jTSWaSKkG3k4dnZq5VM8=\""),
        (
            r#"CommunityID("192.168.1.1", 12345, "192.168.1.2", 80, seed=1234)"#,
            "\"1:v1n8p4IZW9jXIJnFANLbRU2ahdU=\"",
        ),
        (r#"CommunityID(attributes["ip"], 1, "x", 2)"#, "trouble: CommunityID: `x` is no address"),
        (
            r#"CommunityID("1.1.1.1", 1, "1.1.1.1", 2, "IP")"#,
            "mistake: fails on every item: CommunityID: `IP` is no protocol that is known",
        ),
        (
            r#"CommunityID("1.1.1.1", 65536, "1.1.1.1", 2)"#,
            "mistake: fails on every item: CommunityID: 65536 is no port",
        ),
    ]);
}

#[test]
fn user_agents_are_known_by_name() {
    let agent = |text: &str, expect: &str| {
        let got = super::fixture::value_of(&format!("UserAgent(\"{text}\")"));
        let (known, original) = got.split_once(",user_agent.original:").unwrap_or((&got, ""));
        assert_eq!(known.replace("user_agent.", "").replace('"', ""), format!("{{{expect}"), "{text}");
        assert_eq!(original, format!("\"{text}\"}}"));
    };
    agent("curl/7.81.0", "name:curl,version:7.81.0,os.name:Other");
    agent(
        "Mozilla/5.0 (X11; Linux x86_64; rv:126.0) Gecko/20100101 Firefox/126.0",
        "name:Firefox,version:126.0,os.name:Linux",
    );
    agent(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/91.0.4472.124 Safari/537.36 Edg/91.0.864.59",
        "name:Edge,version:91.0.864,os.name:Windows,os.version:10",
    );
    agent(
        "Mozilla/5.0 (Linux; Android 13; Pixel 7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/116.0.0.0 Mobile Safari/537.36",
        "name:Chrome Mobile,version:116.0.0,os.name:Android,os.version:13",
    );
    agent(
        "Mozilla/5.0 (iPhone; CPU iPhone OS 14_7_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/14.1.2 Mobile/15E148 Safari/604.1",
        "name:Mobile Safari,version:14.1.2,os.name:iOS,os.version:14.7.1",
    );
    agent(
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Safari/605.1.15",
        "name:Safari,version:17.1,os.name:Mac OS X,os.version:10.15.7",
    );
    agent(
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "name:Googlebot,version:2.1,os.name:Other",
    );
    agent("python-requests/2.31.0", "name:Python Requests,version:2.31.0,os.name:Other");
    agent("who knows", "name:Other,version:,os.name:Other");
}
