//! Precedence, strictness, secrets and printing of the configuration.
use std::time::Duration;

use serde::Deserialize;

use super::*;

/// Settings of a service.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Sample {
    /// Most entries of one page.
    pub page_size_max: usize,
    /// Longest time of one query.
    #[serde(with = "crate::duration")]
    pub timeout: Duration,
    /// Password of the mail account.
    pub password: Secret,
}

impl Default for Sample {
    fn default() -> Sample {
        Sample { page_size_max: 100, timeout: Duration::from_secs(5), password: Secret::default() }
    }
}

impl Section for Sample {
    const SOURCE: &'static str = include_str!("tests.rs");

    fn check(&self) -> Result<(), String> {
        if self.page_size_max > 1000 { Err("page_size_max must be at most 1000".to_owned()) } else { Ok(()) }
    }
}

fn from_toml(toml: &str) -> Result<Config, ConfigError> {
    let path = std::env::temp_dir().join(format!(
        "workos-config-{}-{:?}.toml",
        std::process::id(),
        std::thread::current().id()
    ));
    std::fs::write(&path, toml).expect("the temporary folder takes a file");
    let config = Config::load(&Options { config: Some(path.clone()), set: Vec::new() });
    std::fs::remove_file(path).expect("it was just written");
    config
}

#[test]
fn the_command_line_wins_over_the_file() {
    let path = std::env::temp_dir().join(format!("workos-precedence-{}.toml", std::process::id()));
    std::fs::write(&path, "public_url = 'http://file'\n[document]\npage_size_max = 7\n").expect("written");
    let options = Options { config: Some(path.clone()), set: vec!["document.page_size_max=50".to_owned()] };
    let config = Config::load(&options).expect("valid");
    std::fs::remove_file(path).expect("written above");
    assert_eq!(config.platform.public_url, "http://file");
    assert_eq!(config.section::<Sample>("document").expect("valid").page_size_max, 50);
    assert_eq!(config.section::<Sample>("file").expect("defaults").page_size_max, 100);
}

#[test]
fn unknown_keys_and_sections_are_refused_by_name() {
    let error = from_toml("[documnt]\na = 1\n").expect_err("misspelled").to_string();
    assert!(error.contains("documnt") && error.contains("document"), "{error}");
    let error = from_toml("[telemetry]\nlevle = 'info'\n").expect_err("misspelled").to_string();
    assert!(error.contains("levle"), "{error}");
    let error =
        from_toml("[document]\npage_size = 1\n").expect("the section is read later").section::<Sample>("document");
    assert!(error.expect_err("unknown").to_string().contains("page_size"));
}

#[test]
fn a_value_out_of_range_is_refused_with_its_section() {
    let mut config = Config::defaults().expect("valid");
    config.set("document.page_size_max", 5000).expect("known");
    assert_eq!(
        config.section::<Sample>("document").expect_err("too large").to_string(),
        "[document] page_size_max must be at most 1000"
    );
    assert!(config.set("telemetry.sample_ratio", 2.0).is_err());
    assert!(config.set("profile", "prod").expect_err("no key").to_string().contains("secret_key_file"));
}

#[test]
fn a_secret_in_the_file_is_refused_and_a_secret_file_is_followed() {
    let config = from_toml("[document]\npassword = 'hunter2'\n").expect("sections are read later");
    let error = config.section::<Sample>("document").expect_err("a literal secret").to_string();
    assert!(error.contains("password_file") || error.contains("_file"), "{error}");
    assert!(!error.contains("hunter2"));
    assert!(from_toml("engines.postgres.url = 'postgres://root:hunter2@h/d'\n").is_err());
    assert!(from_toml("engines.postgres.url = 'postgres://h/d'\n").is_ok());

    let path = std::env::temp_dir().join(format!("workos-secret-{}", std::process::id()));
    std::fs::write(&path, "first\n").expect("written");
    let config = from_toml(&format!("[document]\npassword_file = '{}'\n", path.display())).expect("valid");
    let section: Sample = config.section("document").expect("valid");
    assert_eq!(section.password.reveal(), "first");
    std::fs::write(&path, "second\n").expect("written");
    assert_eq!(secret::reload(), Vec::<String>::new());
    assert_eq!(section.password.reveal(), "second");
    std::fs::remove_file(path).expect("written above");
}

#[test]
fn printing_shows_comments_and_values_but_no_secret() {
    let mut config = Config::defaults().expect("valid");
    config.set("document.password", "hunter2").expect("known");
    let section: Sample = config.section("document").expect("valid");
    let printed = describe::render(Sample::SOURCE, "Sample", &table(&section).expect("a table"), "document");
    assert!(printed.contains("[document]\n# Most entries of one page.\npage_size_max = 100\n"), "{printed}");
    assert!(printed.contains("timeout = \"5s\"") && printed.contains("password = \"***\""), "{printed}");
    let printed = config.print_platform().expect("a table");
    assert!(printed.contains("\n# Account that runs PostgreSQL"), "{printed}");
    assert!(printed.contains("[engines.postgres]\n") && printed.contains("drain = \"40s\""), "{printed}");
    let printed: toml::Table = printed.parse().expect("what is printed is valid TOML");
    assert_eq!(printed["admin"]["listen"].as_str(), Some("127.0.0.1:9090"));
}

#[test]
fn each_service_of_a_process_signs_in_to_nats_under_its_own_name() {
    let mut config = from_toml("").expect("nothing is needed");
    let account = |config: &Config, service: &str| config.platform.engines.nats.account(service);
    let of = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
    assert_eq!(account(&config, "auth"), None, "it is derived");
    config.set("engines.nats.passwords.auth", "of auth").expect("a setting");
    assert_eq!((account(&config, "auth"), account(&config, "gateway")), (of("auth", "of auth"), None));
    config.set("engines.nats.password", "of others").expect("a setting");
    assert_eq!(
        (account(&config, "auth"), account(&config, "gateway")),
        (of("auth", "of auth"), of("gateway", "of others"))
    );
    config.set("engines.nats.url", "nats://all:secret@127.0.0.1:4222").expect("a setting");
    assert_eq!(account(&config, "auth"), of("all", "secret"));
}
