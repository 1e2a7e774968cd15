//! `lethedb keys` as an operator types it: what it tells, what it replaces, and that it prints no secret that was not
//! asked for.
//!
//! A test target of the server's package, so that cargo builds the binary for it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::disallowed_methods, reason = "starts the real program on files that it makes")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;
use tempfile::TempDir;
use tests::server::Server;

/// Far more often than what comes right away is looked for.
const TRIES: usize = 10_000;

/// A directory with a store in `data`, and how its root key is given.
struct Place {
    dir: TempDir,
    key: (&'static str, &'static str),
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap(), key: ("LETHEDB_ROOT_KEY_FILE", "first.key") };
        place.secret("first.key", &"ab".repeat(32));
        place.secret("passphrase", "correct horse\n");
        place.secret("other", "battery staple\n");
        fs::write(place.path("rows.jsonl"), "{\"id\": 1, \"entity\": \"ada\", \"vector\": [1, 0]}\n").unwrap();
        place.ok("collections create --collection films --dimension 2");
        place.ok("import rows.jsonl --collection films");
        place
    }

    fn given(self, variable: &'static str, file: &'static str) -> Self {
        Self { key: (variable, file), ..self }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn secret(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), PermissionsExt::from_mode(0o600)).unwrap();
    }

    fn run(&self, line: &str) -> (i32, String, String) {
        let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_lethedb")));
        command.current_dir(self.dir.path()).env_clear().env(self.key.0, self.path(self.key.1));
        command.env("HOME", self.dir.path()).env("LETHEDB__ENGINE__PASSPHRASE_MEMORY_KIB", "19456");
        command.args(["--data", "data", "--anchor-dir", "vault", "--keyring-mirror", "mirror"]).args(line.split(' '));
        let output = command.stdin(Stdio::null()).output().unwrap();
        let [out, said] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        (output.status.code().unwrap(), out, said)
    }

    fn ok(&self, line: &str) -> Value {
        let (code, out, said) = self.run(&format!("{line} --output json"));
        assert_eq!(code, 0, "{line}: {said}");
        serde_json::from_str(&out).unwrap_or_else(|_| panic!("{line}: {out}"))
    }

    fn refused(&self, line: &str) -> String {
        let (code, out, said) = self.run(line);
        assert!(code != 0 && out.is_empty(), "{line}: {out}");
        said
    }

    fn holds_its_record(&self) {
        assert_eq!(self.ok("records count --collection films")["count"], 1);
    }
}

fn is_private(path: &Path) -> bool {
    fs::metadata(path).unwrap().permissions().mode() & 0o777 == 0o600
}

#[test]
fn keys_are_told_and_replaced() {
    let place = Place::new();
    let status = place.ok("keys status");
    assert_eq!(
        (&status["has_passphrase"], &status["homes"]["anchors"][0]["off_volume"]),
        (&false.into(), &false.into())
    );
    let (epoch, root_key) = (status["environments"][0]["epoch"].as_u64().unwrap(), status["root_key"].clone());
    assert!(place.ok("keys rotate-kek")["epoch"].as_u64().unwrap() > epoch);
    let (code, shown, _) = place.run("keys status");
    assert!(code == 0 && shown.contains(root_key.as_str().unwrap()) && !shown.contains(&"ab".repeat(8)), "{shown}");

    let rotated = place.ok("keys rotate-root --to next.key");
    assert_eq!(rotated["environments"], 1);
    assert!(rotated["root_key"] != root_key && is_private(&place.path("next.key")));
    assert!(place.refused("records count --collection films").contains("fingerprint"));
    let place = place.given("LETHEDB_ROOT_KEY_FILE", "next.key");
    place.holds_its_record();
    // Nothing is left to do, and it says so.
    assert_eq!(place.ok("keys rotate-root --to next.key")["environments"], 0);
}

#[test]
fn a_passphrase_takes_the_place_of_a_key_file() {
    let place = Place::new();
    place.ok("keys passphrase --new-file passphrase");
    let place = place.given("LETHEDB_PASSPHRASE_FILE", "other");
    assert!(place.refused("records count --collection films").contains("passphrase"));
    let place = place.given("LETHEDB_PASSPHRASE_FILE", "passphrase");
    place.holds_its_record();
    place.ok("keys passphrase --new-file other");
    assert!(place.refused("records count --collection films").contains("passphrase"));
    let place = place.given("LETHEDB_PASSPHRASE_FILE", "other");
    assert_eq!(place.ok("keys rotate-root --passphrase-file other")["environments"], 1);
    place.holds_its_record();
    let status = place.ok("keys status");
    assert_eq!((&status["source"], &status["has_passphrase"]), (&"passphrase".into(), &true.into()));
    // The old key file opens nothing any more, and without any source the store says what it needs.
    let place = place.given("LETHEDB_ROOT_KEY_FILE", "first.key");
    assert!(place.refused("records count --collection films").contains("fingerprint"));
    let place = place.given("UNUSED", "first.key");
    assert!(place.refused("records count --collection films").contains("LETHEDB_PASSPHRASE_FILE"));
}

#[test]
fn shares_are_written_for_their_bearers_and_give_the_key_back() {
    let place = Place::new();
    let split = place.ok("keys split --shares 3 --threshold 2 --to shares");
    let files: Vec<&str> = split["files"].as_array().unwrap().iter().map(|file| file.as_str().unwrap()).collect();
    assert!(files.len() == 3 && files.iter().all(|file| is_private(&place.path(file))));
    assert_eq!(place.ok("keys split --shares 5 --threshold 3 --stdout")["shares"].as_array().unwrap().len(), 5);
    assert!(place.refused("keys split --shares 2 --threshold 3 --stdout").contains("shares"));
    assert!(place.refused("keys split --shares 1 --threshold 1 --stdout").contains("2..=255"));
    assert!(place.refused("keys split --shares 3 --threshold 2 --to shares").contains("nothing is written over it"));

    let place = place.given("UNUSED", "first.key");
    assert!(place.refused(&format!("keys unseal --share {}", files[0])).contains("1 of the 2 different shares"));
    place.ok(&format!("keys unseal --share {} --share {} --to run.key", files[0], files[2]));
    assert!(is_private(&place.path("run.key")));
    let place = place.given("LETHEDB_ROOT_KEY_FILE", "run.key");
    place.holds_its_record();
    let both = [files[1], files[2]].map(|file| fs::read_to_string(place.path(file)).unwrap()).concat();
    place.secret("both", &both);
    place.given("LETHEDB_SHARES_FILE", "both").holds_its_record();
}

/// A volume that is not mounted holds an anchor that erasures could not destroy: nobody loses sight of that by accident.
#[test]
fn an_anchor_store_that_is_missing_is_given_up_only_by_name() {
    let place = Place::new();
    let count = "records count --collection films";
    place.ok(&format!("--anchor-dir second {count}"));
    fs::rename(place.path("second"), place.path("unmounted")).unwrap();
    let (code, _, said) = place.run(count);
    assert!(code == 1 && said.contains("give_up_missing_anchor_stores"), "{code}: {said}");
    assert_eq!(place.ok(&format!("{count} --give-up-missing-anchor-stores"))["count"], 1);
    assert_eq!(place.ok(count)["count"], 1, "it is given up for good");
}

/// A server that was started without a root key, and what it says.
fn sealed(place: &Place) -> Server {
    sealed_with(place, &[])
}

/// The same, with these settings.
fn sealed_with(place: &Place, settings: &[(&str, String)]) -> Server {
    let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_lethedb")));
    command.current_dir(place.dir.path()).env_clear().env("HOME", place.dir.path()).env("RUST_LOG", "trace");
    // It takes none of these although they are there.
    command.env(place.key.0, place.path(place.key.1)).env("LETHEDB__SERVER__SEALED", "true");
    command.args(["--data", "data", "--anchor-dir", "vault", "--keyring-mirror", "mirror"]);
    command.envs(settings.iter().map(|(name, value)| (name, value)));
    command.stderr(fs::File::create(place.path("log")).unwrap());
    Server::start(&mut command).unwrap()
}

/// `keys unseal --server`, with `input` piped in.
fn unseal(place: &Place, server: &Server, line: &str, input: &str) -> (bool, String) {
    unseal_as("json", place, server, line, input)
}

fn unseal_as(output: &str, place: &Place, server: &Server, line: &str, input: &str) -> (bool, String) {
    let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_lethedb")));
    command.current_dir(place.dir.path()).env_clear().env("LETHEDB__SERVER__LISTEN", server.address());
    command
        .args(["keys", "unseal", "--server", "--output", output])
        .args(line.split(' ').filter(|word| !word.is_empty()));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that needs no input may have ended.
    _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[test]
fn shares_open_a_server_that_was_started_sealed() {
    let place = Place::new();
    let split = place.ok("keys split --shares 3 --threshold 2 --to shares");
    let files: Vec<&str> = split["files"].as_array().unwrap().iter().map(|file| file.as_str().unwrap()).collect();
    let shares: Vec<String> = files.iter().map(|file| fs::read_to_string(place.path(file)).unwrap()).collect();
    let other = place.ok("keys split --shares 2 --threshold 2 --stdout")["shares"][0].as_str().unwrap().to_owned();

    let server = sealed(&place);
    let status =
        |path: &str| server.json("GET", path, &Value::Null).map(|(status, answer)| (status, answer["code"].clone()));
    assert_eq!(status("/readyz"), Some((503, "sealed".into())));
    assert_eq!(status("/v1/collections/films"), Some((503, "sealed".into())));
    assert_eq!(server.send("GET", "/livez", "", b"").map(|(status, ..)| status), Some(200));

    let (given, said) = unseal(&place, &server, "", &shares[0]);
    assert!(given && said.contains("\"given\":1,\"given_before\":false,\"needed\":2,\"sealed\":true"), "{said}");
    let mut told = said;
    let (given, said) = unseal(&place, &server, "", &shares[0]);
    assert!(given && said.contains("\"given\":1,\"given_before\":true"), "{said}");
    let (given, said) = unseal_as("table", &place, &server, "", &shares[0]);
    assert!(given && said.contains("This share was given already; 1 of 2 are there."), "{said}");
    for wrong in ["", "lethe-share-nonsense", &other, &shares[1][..shares[1].len() / 2]] {
        let (given, said) = unseal(&place, &server, "", wrong);
        assert!(!given, "{said}");
        told.push_str(&said);
    }
    let (given, said) = unseal(&place, &server, "--reset", "");
    assert!(given && said.contains("\"given\":0"), "{said}");
    assert_eq!(status("/readyz"), Some((503, "sealed".into())));
    let (given, said) = unseal(&place, &server, &format!("--share {}", files[2]), "");
    assert!(given && said.contains("\"given\":1"), "{said}");
    let (given, said) = unseal(&place, &server, "", &shares[1]);
    assert!(given && said.contains("\"sealed\":false"), "{said}");
    told.push_str(&said);

    let (found, films) = server.json("GET", "/v1/collections/films", &Value::Null).unwrap();
    assert_eq!((found, &films["records"]), (200, &1.into()), "{films}");
    assert_eq!(server.json("GET", "/readyz", &Value::Null).map(|(status, _)| status), Some(200));
    drop(server);
    told.push_str(&fs::read_to_string(place.path("log")).unwrap());
    assert!(told.contains("unsealed"), "the log tells of it");
    for share in shares.iter().chain([&other]) {
        let groups: Vec<&str> = share.trim().trim_start_matches("lethe-share-").split('-').collect();
        let is_told = groups.windows(2).any(|pair| told.to_lowercase().contains(&pair.join("-")));
        assert!(!is_told, "nothing of a share is told");
    }
    place.holds_its_record();
}

/// Where no machine keeps the root key, nobody could make the first API key by other means.
#[test]
fn a_server_that_asks_for_keys_gives_the_first_one_once_it_is_open() {
    let place = Place::new();
    let split = place.ok("keys split --shares 2 --threshold 2 --to shares");
    let files: Vec<&str> = split["files"].as_array().unwrap().iter().map(|file| file.as_str().unwrap()).collect();
    let server = sealed_with(&place, &[("LETHEDB__SERVER__AUTH", "true".to_owned())]);
    let log = || fs::read_to_string(place.path("log")).unwrap();
    let (given, said) = unseal(&place, &server, &format!("--share {}", files[0]), "");
    assert!(given && !log().contains("lethe_ak_"), "{said}");
    let (given, said) = unseal(&place, &server, &format!("--share {}", files[1]), "");
    assert!(given && said.contains("\"sealed\":false") && !said.contains("lethe_ak_"), "{said}");
    let shown =
        || log().split_once("\nlethe_ak_").and_then(|(_, key)| Some(format!("lethe_ak_{}", key.split_once('\n')?.0)));
    // It is made right after the answer.
    let key = (0..TRIES).find_map(|_| {
        _ = server.send("GET", "/livez", "", b"");
        shown()
    });
    let listed = |headers: &str| server.send("GET", "/v1/collections", headers, b"").map(|(status, ..)| status);
    let headers = format!("Authorization: Bearer {}\r\n", key.unwrap());
    assert_eq!((listed(""), listed(&headers)), (Some(401), Some(200)));
}

#[test]
fn only_a_store_that_is_there_is_served_sealed() {
    let place = Place::new();
    fs::remove_dir_all(place.path("data")).unwrap();
    let said = place.refused("serve --sealed --listen 127.0.0.1:0 --grpc-listen 127.0.0.1:0");
    assert!(said.contains("no database"), "{said}");
    assert!(!place.path("data").exists(), "nothing is made");
}

/// Over TLS, a share goes to who shows a certificate that somebody named vouches for, and to nobody else.
#[test]
fn a_share_goes_over_tls_to_the_server_that_is_vouched_for() {
    let place = Place::new();
    let split = place.ok("keys split --shares 2 --threshold 2 --to shares");
    let files: Vec<&str> = split["files"].as_array().unwrap().iter().map(|file| file.as_str().unwrap()).collect();
    for name in ["server", "stranger"] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        fs::write(place.path(&format!("{name}.pem")), params.self_signed(&key).unwrap().pem()).unwrap();
        place.secret(&format!("{name}.key"), &key.serialize_pem());
    }
    let path = |name: &str| place.path(name).display().to_string();
    let server =
        sealed_with(&place, &[("LETHEDB__TLS__CERT", path("server.pem")), ("LETHEDB__TLS__KEY", path("server.key"))]);
    let port = server.address().rsplit(':').next().unwrap();
    let give = |url: &str, ca: &str, share: &str| {
        let output = Command::new(Path::new(env!("CARGO_BIN_EXE_lethedb")))
            .current_dir(place.dir.path())
            .env_clear()
            .args(["keys", "unseal", "--output", "json", "--share", share, "--server", url, "--ca", ca])
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let url = format!("https://localhost:{port}");
    for (url, ca) in [(&url, "stranger.pem"), (&format!("https://127.0.0.1:{port}"), "server.pem")] {
        let (given, said) = give(url, ca, files[0]);
        assert!(!given && said.contains("not who it should be"), "{said}");
    }
    let (given, said) = give(&url, "server.pem", files[0]);
    assert!(given && said.contains("\"given\":1,\"given_before\":false,\"needed\":2"), "nobody else got it: {said}");
    let (given, said) = give(&url, "server.pem", files[1]);
    assert!(given && said.contains("\"sealed\":false"), "{said}");
}
