use super::*;

#[test]
fn a_webhook_needs_an_address_a_secret_and_a_token() {
    let of = |url: &str, token: Option<&str>| Config {
        webhook_url: Some(url.to_owned()),
        token: token.map(Into::into),
        ..Config::default()
    };
    let good = "http://mediagate:9090/hooks/label-studio";
    assert!(Config::default().check_webhook(false).is_ok(), "none is kept");
    assert!(of(good, Some("t")).check_webhook(true).is_ok());
    for (config, has_secret, word) in [
        (of("mediagate:9090/hooks", Some("t")), true, "such as http://"),
        (of("/hooks/label-studio", Some("t")), true, "such as http://"),
        (of("ftp://mediagate/hooks", Some("t")), true, "such as http://"),
        (of(&format!("http://mediagate/{}", "x".repeat(2048)), Some("t")), true, "such as http://"),
        (of(good, Some("t")), false, "hooks.secret_file"),
        (of(good, None), true, "label_studio.token_file"),
    ] {
        let error = config.check_webhook(has_secret).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}
