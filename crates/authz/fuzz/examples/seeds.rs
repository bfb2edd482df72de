//! Writes the seeds of `gate`, `block` and `api_key`, in the folder of this package: `cargo +nightly run --example seeds`.
use biscuit_auth::{UnverifiedBiscuit, builder::BlockBuilder};
use mesh::wire::Fields;
use world::{CALLS, World};

/// The appended blocks of a token.
fn blocks(token: &[u8]) -> Vec<Vec<u8>> {
    Fields::of(token)
        .filter_map(|f| {
            let (n, v) = f.unwrap();
            (n == 3).then(|| {
                let (n, v) = Fields::of(v.bytes().unwrap()).next().unwrap().unwrap();
                assert_eq!(n, 1);
                v.bytes().unwrap().to_vec()
            })
        })
        .collect()
}

fn main() {
    for target in ["gate", "block", "api_key"] {
        std::fs::create_dir_all(format!("seeds/{target}")).unwrap();
    }
    let w = World::current();
    std::fs::write("seeds/gate/weak", &w.weak).unwrap();
    std::fs::write("seeds/gate/strong", &w.strong).unwrap();
    for (i, call) in CALLS.iter().enumerate() {
        let n = call.narrowed(&w.weak).unwrap();
        if i < 3 {
            std::fs::write(format!("seeds/gate/narrowed{i}"), &n).unwrap();
        }
        std::fs::write(format!("seeds/block/narrowed{i}"), blocks(&n).pop().unwrap()).unwrap();
    }
    let codes = [
        ("fact", r#"role("owner")"#),
        ("rule", r#"role("owner") <- sub($k, $i)"#),
        ("scope", r#"check if v(1) trusting previous"#),
        ("all", r#"check all role($r), $r === "x""#),
        ("reject", r#"reject if v(1)"#),
        ("joins", r#"check if sub($a, $b), sub($c, $d), $a === $c, $b !== $d"#),
        ("set", r#"check if scope($s), ["document:read", "*"].contains($s) or role("owner")"#),
        ("prefix", r#"check if resource($r), $r.starts_with("organizations/")"#),
        ("times", r#"check if time($t), $t < 2030-01-01T00:00:00Z, $t >= 2020-01-01T00:00:00Z"#),
        ("bytes", r#"check if v($x), hex:0102 !== hex:03, $x <= 1"#),
        (
            "many",
            "check if v(1); check if v(2) or v(1); check if aud(\"mesh\"), v($x), $x > 0; check if role(\"member\")",
        ),
        ("regex", r#"check if role($r), $r.matches("(a+)+$")"#),
    ];
    for (name, code) in codes {
        let t = UnverifiedBiscuit::from(&w.weak)
            .unwrap()
            .append(BlockBuilder::new().code(code).unwrap())
            .unwrap()
            .to_vec()
            .unwrap();
        std::fs::write(format!("seeds/block/{name}"), blocks(&t).pop().unwrap()).unwrap();
        if ["set", "many"].contains(&name) {
            std::fs::write(format!("seeds/gate/{name}"), &t).unwrap();
        }
    }
    let key = authz::api_key::write({
        let mut n = 0u8;
        move || {
            n = (n + 7) % 62;
            n
        }
    });
    std::fs::write("seeds/api_key/key", &key).unwrap();
    std::fs::write("seeds/api_key/body", &key[7..50]).unwrap();
}
