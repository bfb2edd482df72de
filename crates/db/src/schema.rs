//! Which migrations a program carries, and whether the schema has them.
use refinery::Migration;

use crate::{Error, Kind, Tx};

/// The platform's own tables, the same in every schema.
pub(crate) const PLATFORM: &[(&str, &str)] = &[("0001_platform.sql", include_str!("../migrations/0001_platform.sql"))];

/// The migrations of one service: forward only, numbered from 1, never edited after release.
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
        i32::try_from(self.files.len()).unwrap_or(i32::MAX)
    }
}

/// The files as the migration library wants them. Behind each stands the check of the walls, in the same transaction.
pub(crate) fn parse(files: &[(&str, &str)]) -> Result<Vec<Migration>, String> {
    let mut migrations = Vec::with_capacity(files.len());
    for (index, (file, sql)) in files.iter().enumerate() {
        let wanted = format!("{:04}_", index + 1);
        let name = file.strip_prefix(&wanted).and_then(|rest| rest.strip_suffix(".sql")).filter(|name| is_word(name));
        let name = name.ok_or_else(|| format!("migration {file} must be named {wanted}<lower_case_words>.sql: they are numbered from 0001 without gaps"))?;
        let sql = format!("{sql}\n;select workos.raise_walls();\n");
        let migration = Migration::unapplied(&format!("V{}__{name}", index + 1), &sql)
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
    fn a_gap_in_the_numbers_is_refused() {
        let problem = parse(&[("0001_a.sql", ""), ("0003_b.sql", "")]).expect_err("there is no 0002");
        assert!(problem.contains("0002_"), "{problem}");
    }
}
