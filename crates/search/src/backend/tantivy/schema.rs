//! The fields of the index.
//!
//! A tombstone has `name` and `revision` alone: without organization and principals no question can match it.
use sha2::{Digest, Sha256};
use tantivy::{
    TantivyDocument,
    schema::{Field, IndexRecordOption, NumericOptions, Schema, TextFieldIndexing, TextOptions},
};

use super::analysis::{FOLDED, STEMMED};
use crate::{
    backend::{Facet, Write},
    model::{FOLDING, PRINCIPALS},
};

/// Names of the columns that are read by name.
pub(super) const REVISION: &str = "revision";
pub(super) const UPDATED: &str = "updated";
pub(super) const ID_HIGH: &str = "id_high";
pub(super) const ID_LOW: &str = "id_low";
const TYPE: &str = "type";
const MEDIA_TYPE: &str = "media_type";
const FOLDER: &str = "folder";

/// The fields, by use.
#[derive(Clone, Copy)]
pub(super) struct Fields {
    /// Full resource name: the key.
    pub(super) name: Field,
    pub(super) revision: Field,
    pub(super) organization: Field,
    pub(super) principals: Field,
    pub(super) kind: Field,
    pub(super) media_type: Field,
    pub(super) folder: Field,
    pub(super) title: Field,
    pub(super) title_stemmed: Field,
    pub(super) body: Field,
    pub(super) body_stemmed: Field,
    pub(super) updated: Field,
    pub(super) id_high: Field,
    pub(super) id_low: Field,
}

/// Schema and fields.
pub(super) fn schema() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    let text = |tokenizer, record| {
        let indexing = TextFieldIndexing::default().set_tokenizer(tokenizer).set_index_option(record);
        TextOptions::default().set_indexing_options(indexing)
    };
    let keyword = || {
        let indexing = TextFieldIndexing::default().set_tokenizer("raw").set_index_option(IndexRecordOption::Basic);
        TextOptions::default().set_indexing_options(indexing.set_fieldnorms(false))
    };
    let counted = || keyword().set_fast("raw").set_stored();
    let column = || NumericOptions::default().set_fast();
    let folded = || text(FOLDED, IndexRecordOption::WithFreqsAndPositions).set_stored();
    let stemmed = || text(STEMMED, IndexRecordOption::WithFreqs);
    let fields = Fields {
        name: schema.add_text_field("name", keyword().set_stored()),
        revision: schema.add_i64_field(REVISION, column()),
        organization: schema.add_text_field("organization", keyword()),
        principals: schema.add_text_field("principals", keyword()),
        kind: schema.add_text_field(TYPE, counted()),
        media_type: schema.add_text_field(MEDIA_TYPE, counted()),
        folder: schema.add_text_field(FOLDER, counted()),
        title: schema.add_text_field("title", folded()),
        title_stemmed: schema.add_text_field("title_stemmed", stemmed()),
        body: schema.add_text_field("body", folded()),
        body_stemmed: schema.add_text_field("body_stemmed", stemmed()),
        updated: schema.add_i64_field(UPDATED, column()),
        id_high: schema.add_u64_field(ID_HIGH, column()),
        id_low: schema.add_u64_field(ID_LOW, column()),
    };
    (schema.build(), fields)
}

/// Hash of everything that makes an index incompatible with another.
pub(super) fn mapping() -> String {
    let schema = serde_json::to_vec(&schema().0).expect("a schema is plain data");
    let hash = Sha256::new().chain_update(&schema).chain_update(FOLDING.to_be_bytes());
    let hash = hash.chain_update(PRINCIPALS.to_be_bytes()).finalize();
    let hexadecimal: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("tantivy-{hexadecimal}")
}

/// The column that a facet is counted over.
pub(super) fn column(facet: Facet) -> &'static str {
    match facet {
        Facet::Type => TYPE,
        Facet::MediaType => MEDIA_TYPE,
        Facet::Folder => FOLDER,
    }
}

/// The document of a write.
pub(super) fn document(fields: &Fields, write: &Write) -> TantivyDocument {
    let mut document = TantivyDocument::default();
    document.add_text(fields.name, write.name().to_string());
    document.add_i64(fields.revision, write.revision().0);
    let Write::Put(entry) = write else { return document };
    document.add_text(fields.organization, entry.name.organization.to_string());
    for principal in &entry.principals {
        document.add_text(fields.principals, principal);
    }
    document.add_text(fields.kind, entry.name.kind.as_str());
    for (field, keyword) in [(fields.media_type, &entry.media_type), (fields.folder, &entry.folder)] {
        if !keyword.is_empty() {
            document.add_text(field, keyword);
        }
    }
    for (fields, text) in
        [([fields.title, fields.title_stemmed], &entry.title), ([fields.body, fields.body_stemmed], &entry.body)]
    {
        fields.into_iter().for_each(|field| document.add_text(field, text));
    }
    let micros = entry.updated.unix_timestamp_nanos() / 1000;
    document.add_i64(fields.updated, i64::try_from(micros).unwrap_or(i64::MAX));
    let (high, low) = entry.name.id.uuid().as_u64_pair();
    document.add_u64(fields.id_high, high);
    document.add_u64(fields.id_low, low);
    document
}
