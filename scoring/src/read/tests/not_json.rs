//! Bodies that are not JSON: the offset and the reason of each.

use super::*;

#[test]
fn each_fault_has_its_offset_and_reason() {
    let loaded = demo();
    let mut workspace = Workspace::new(&loaded, 4096);
    let deep = format!("{}1{}", "[".repeat(17), "]".repeat(17));
    let deep_objects = "{\"a\":".repeat(17);
    let cases: &[(&[u8], &str)] = &[
        (b"", "@0 the body is empty"),
        (b" \t\r\n", "@0 the body is empty"),
        (b"\xEF\xBB\xBF{}", "@0 a byte-order mark is not accepted"),
        (b"{", "@1 the body ends too early"),
        (b"{\"lead_id\"", "@10 the body ends too early"),
        (b"{\"lead_id\":", "@11 the body ends too early"),
        (b"{\"lead_id\":\"a\"", "@14 the body ends too early"),
        (b"{\"lead_id\":\"a\",", "@15 the body ends too early"),
        (b"[", "@1 the body ends too early"),
        (b"[1", "@2 the body ends too early"),
        (b"[1,", "@3 the body ends too early"),
        (b"-", "@1 the body ends too early"),
        (b"1.", "@2 the body ends too early"),
        (b"1e", "@2 the body ends too early"),
        (b"1e+", "@3 the body ends too early"),
        (b"tru", "@3 the body ends too early"),
        (b"}", "@0 expected a value"),
        (b"]", "@0 expected a value"),
        (b"[1,]", "@3 expected a value"),
        (b"[,1]", "@1 expected a value"),
        (b"{\"a\":}", "@5 expected a value"),
        (b"{\"a\":,}", "@5 expected a value"),
        (b"{\"a\":truE}", "@5 expected a value"),
        (b"{\"a\":nul}", "@5 expected a value"),
        (b"{\"a\":False}", "@5 expected a value"),
        (b"{\"a\":None}", "@5 expected a value"),
        (b"{\"a\":'x'}", "@5 expected a value"),
        (b"{\"a\":+1}", "@5 expected a value"),
        (b"{\"a\":.5}", "@5 expected a value"),
        (b"{\"a\":\x0c1}", "@5 expected a value"),
        (b"{\"a\":undefined}", "@5 expected a value"),
        (
            b"{\"a\":NaN}",
            "@5 NaN and Infinity are not JSON; send null for a missing value",
        ),
        (
            b"{\"a\":-Infinity}",
            "@5 NaN and Infinity are not JSON; send null for a missing value",
        ),
        (
            b"{\"a\": Infinity}",
            "@6 NaN and Infinity are not JSON; send null for a missing value",
        ),
        (b"{a:1}", "@1 expected a key in double quotes or `}`"),
        (b"{'a':1}", "@1 expected a key in double quotes or `}`"),
        (b"{1:1}", "@1 expected a key in double quotes or `}`"),
        (b"{,}", "@1 expected a key in double quotes or `}`"),
        (b"{]", "@1 expected a key in double quotes or `}`"),
        (b"{\"a\":1,}", "@7 expected a key in double quotes"),
        (b"{\"a\":1,2}", "@7 expected a key in double quotes"),
        (b"{\"a\" 1}", "@5 expected `:`"),
        (b"{\"a\",1}", "@4 expected `:`"),
        (b"{\"a\"}", "@4 expected `:`"),
        (b"{\"a\":1 \"b\":2}", "@7 expected `,` or `}`"),
        (b"{\"a\":1]", "@6 expected `,` or `}`"),
        (b"{\"a\":1.5.5}", "@8 expected `,` or `}`"),
        (b"{\"a\":1_000}", "@6 expected `,` or `}`"),
        (b"{\"a\":0x10}", "@6 expected `,` or `}`"),
        (b"{\"a\":1;}", "@6 expected `,` or `}`"),
        (b"{\"a\":nullx}", "@9 expected `,` or `}`"),
        (b"{\"a\":\"b\"\"c\"}", "@8 expected `,` or `}`"),
        (b"[1 2]", "@3 expected `,` or `]`"),
        (b"[1}", "@2 expected `,` or `]`"),
        (b"[1\x00]", "@2 expected `,` or `]`"),
        (b"{} {}", "@3 something follows the end of the value"),
        (b"{}}", "@2 something follows the end of the value"),
        (b"{},", "@2 something follows the end of the value"),
        (b"1x", "@1 something follows the end of the value"),
        (b"{}\x00", "@2 something follows the end of the value"),
        (b"null//", "@4 something follows the end of the value"),
        (b"\"abc", "@0 the string that begins here has no end"),
        (b"{\"a\":\"b}", "@5 the string that begins here has no end"),
        (b"{\"a", "@1 the string that begins here has no end"),
        (b"\"abc\\\"", "@0 the string that begins here has no end"),
        (b"\"abc\\", "@0 the string that begins here has no end"),
        (b"\"a\nb\"", "@2 control character in a string; it must be escaped"),
        (b"{\"a\tb\":1}", "@3 control character in a string; it must be escaped"),
        (b"\"\x00\"", "@1 control character in a string; it must be escaped"),
        (b"\"a\\x\"", "@2 invalid escape in a string"),
        (b"\"a\\'\"", "@2 invalid escape in a string"),
        (b"\"\\u12\"", "@1 invalid escape in a string"),
        (b"\"\\u12G4\"", "@1 invalid escape in a string"),
        (b"\"\\U0041\"", "@1 invalid escape in a string"),
        (b"\"\\ud83d\"", "@1 half a surrogate pair in a string"),
        (b"\"\\ud83d\\n\"", "@1 half a surrogate pair in a string"),
        (b"\"\\ud83d\\ud83d\"", "@1 half a surrogate pair in a string"),
        (b"\"x\\ude00\"", "@2 half a surrogate pair in a string"),
        (b"{\"a\":01}", "@5 a number must not begin with 0 and another digit"),
        (b"{\"a\":-01}", "@6 a number must not begin with 0 and another digit"),
        (b"{\"a\":00}", "@5 a number must not begin with 0 and another digit"),
        (b"{\"a\":1.}", "@7 expected a digit"),
        (b"{\"a\":1.e5}", "@7 expected a digit"),
        (b"{\"a\":-}", "@6 expected a digit"),
        (b"{\"a\":-.5}", "@6 expected a digit"),
        (b"{\"a\":1e}", "@7 expected a digit"),
        (b"{\"a\":1e+}", "@8 expected a digit"),
        (
            b"{\"a\":1e400,\"b\":01}",
            "@15 a number must not begin with 0 and another digit",
        ),
        (b"\xff", "@0 invalid UTF-8"),
        (b"{\"a\xff\":1}", "@3 invalid UTF-8"),
        (b"{\"a\":\"\xc3\x28\"}", "@6 invalid UTF-8"),
        (b"{\"a\":\"\xed\xa0\x80\"}", "@6 invalid UTF-8"),
        (b"{\"a\":\"\xc0\xaf\"}", "@6 invalid UTF-8"),
        (b"{\"a\":\"\xf4\x90\x80\x80\"}", "@6 invalid UTF-8"),
        (b"{\"a\":\"\xe2\x82", "@6 invalid UTF-8"),
        (b"{\"a\":1}\x80", "@7 invalid UTF-8"),
        (
            b"{\"a\":01,\"\xff\":1}",
            "@5 a number must not begin with 0 and another digit",
        ),
        (deep.as_bytes(), "@16 more than 16 levels of nesting"),
        (deep_objects.as_bytes(), "@80 more than 16 levels of nesting"),
    ];
    for (body, expected) in cases {
        assert_eq!(
            verdict(&loaded, &mut workspace, body),
            *expected,
            "{}",
            body.escape_ascii()
        );
    }
}

#[test]
fn the_error_body_has_the_offset_twice() {
    let loaded = demo();
    let mut workspace = Workspace::new(&loaded, 4096);
    let rejection = workspace.read(&loaded, b"{\"a\" 1}").unwrap_err();
    assert_eq!(rejection.to_string(), "read the body: not JSON at byte 5: expected `:`");
    let mut out = Vec::new();
    render::rejection(&mut out, &loaded, &workspace, &rejection);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        r#"{"error":{"code":"not_json","message":"not JSON at byte 5: expected `:`","offset":5}}"#
    );
}

#[test]
fn sixteen_levels_are_json() {
    let loaded = demo();
    let mut workspace = Workspace::new(&loaded, 4096);
    let body = format!("{}1{}", "[".repeat(16), "]".repeat(16));
    assert_eq!(verdict(&loaded, &mut workspace, body.as_bytes()), "wrong_type ");
    let body = format!("{}1e400{}", "[".repeat(16), "]".repeat(16));
    assert_eq!(verdict(&loaded, &mut workspace, body.as_bytes()), "wrong_type ");
}

#[test]
fn hostile_nesting_is_cut_off() {
    let loaded = demo();
    let mut workspace = Workspace::new(&loaded, 1 << 20);
    for open in ["[", "{\"a\":", "[{\"a\":"] {
        let body = open.repeat((1 << 20) / open.len());
        let told = verdict(&loaded, &mut workspace, body.as_bytes());
        assert!(told.ends_with("more than 16 levels of nesting"), "{told}");
    }
}
