//! Which migrations a program carries, and whether the schema has them.
use refinery::Migration;

use crate::{Error, Kind, Tx};

/// The platform's own tables, the same in every schema.
pub(crate) const PLATFORM: &[(&str, &str)] = &[
    ("0001_platform.sql", include_str!("../migrations/0001_platform.sql")),
    ("0002_audit.sql", include_str!("../migrations/0002_audit.sql")),
];

/// The migrations of one service: forward only, in rising numbers (parts of a service may have ranges of their own), never edited after
/// release.
#[derive(Clone, Copy, Debug)]
pub struct Migrations {
    /// The service: name of its schema.
    pub service: &'static str,
    /// File name (`0001_documents.sql`) and text of each.
    pub files: &'static [(&'static str, &'static str)],
}

/// Embeds files of the crate's folder `migrations/`: `const MIGRATIONS: db::Migrations = db::migrations!("0001_documents.sql");`
/// The service is the package's name without `workos-`.
#[macro_export]
macro_rules! migrations {
    ($($file:literal),* $(,)?) => {
        $crate::Migrations::of_package(
            env!("CARGO_PKG_NAME"),
            &[$(($file, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/", $file)))),*],
        )
    };
}

impl Migrations {
    /// Migrations of the package `workos-<service>`.
    #[must_use]
    pub const fn of_package(package: &'static str, files: &'static [(&'static str, &'static str)]) -> Self {
        const PREFIX: usize = "workos-".len();
        let service = if package.len() > PREFIX { package.split_at(PREFIX).1 } else { package };
        Self { service, files }
    }

    /// Version of the newest.
    pub(crate) fn newest(&self) -> i32 {
        self.files.last().and_then(|(file, _)| number(file)).unwrap_or_default()
    }
}

/// The four digits that a file begins with.
fn number(file: &str) -> Option<i32> {
    let (digits, _) = file.split_once('_')?;
    (digits.len() == 4).then(|| digits.parse().ok()).flatten().filter(|number| *number > 0)
}

/// The files as the migration library wants them. Behind each stands the check of the walls, in the same transaction.
pub(crate) fn parse(files: &[(&str, &str)]) -> Result<Vec<Migration>, String> {
    let mut migrations = Vec::with_capacity(files.len());
    let mut last = 0;
    for (file, sql) in files {
        let name = file.get(5..).and_then(|rest| rest.strip_suffix(".sql")).filter(|name| is_word(name));
        let (Some(version), Some(name)) = (number(file).filter(|version| *version > last), name) else {
            return Err(format!(
                "migration {file} must be named NNNN_<lower_case_words>.sql with a number above {last:04}"
            ));
        };
        last = version;
        let sql = format!("{sql}\n;select workos.raise_walls();\n");
        let migration = Migration::unapplied(&format!("V{version}__{name}"), &sql)
            .map_err(|cause| format!("migration {file}: {cause}"))?;
        migrations.push(migration);
    }
    Ok(migrations)
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Compares what the schema has with what the program needs; gives the schema's version.
pub(crate) async fn check(tx: &Tx, migrations: &Migrations) -> Result<i32, Error> {
    let exists = "select to_regclass('schema_history') is not null and to_regclass('platform_history') is not null";
    if !tx.query_one(exists, &[]).await?.try_get::<_, bool>(0)? {
        return Err(outdated(migrations.service, 0, migrations.newest()));
    }
    let versions = "select (select coalesce(max(version), 0) from schema_history), (select coalesce(max(version), 0) from platform_history)";
    let row = tx.query_one(versions, &[]).await?;
    let (version, platform): (i32, i32) = (row.try_get(0)?, row.try_get(1)?);
    let needed = i32::try_from(PLATFORM.len()).unwrap_or(i32::MAX);
    if version < migrations.newest() {
        return Err(outdated(migrations.service, version, migrations.newest()));
    }
    if platform < needed {
        return Err(outdated("of the platform's tables", platform, needed));
    }
    Ok(version)
}

fn outdated(schema: &str, found: i32, needed: i32) -> Error {
    let text = format!("schema {schema} is at version {found}, this program needs {needed}: run `workos migrate`");
    Error::new(Kind::SchemaOutdated(text.clone()), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_is_the_package_without_its_prefix() {
        assert_eq!(Migrations::of_package("workos-document", &[]).service, "document");
        assert_eq!(Migrations::of_package("workos", &[]).service, "workos");
    }

    #[test]
    fn numbers_rise() {
        let parsed = parse(&[("0001_a.sql", ""), ("0003_b.sql", "")]).expect("a gap is a range of another part");
        assert_eq!(parsed.iter().map(Migration::version).collect::<Vec<_>>(), [1, 3]);
        for wrong in ["0001_b.sql", "0000_b.sql", "2_b.sql", "0002_B.sql", "0002-b.sql", "b.sql"] {
            assert!(parse(&[("0001_a.sql", ""), (wrong, "")]).is_err(), "{wrong}");
        }
    }
}
