//! Documents on the wire.
use api::{Error as ApiError, Etag, Id, OrganizationId, timestamp};
use proto::document::v1::{self as wire, document::State};

use super::metadata;
use crate::{
    error::Error,
    model::{
        self, Body, Content, Document, DocumentName, DocumentQuery, Draft, Edition, FolderName, Order, Update, Values,
    },
};

/// Reads a document to be created.
pub(super) fn parse_draft(request: wire::CreateDocumentRequest) -> Result<Draft, ApiError> {
    let organization = parse_parent(&request.parent)?;
    let document =
        request.document.ok_or_else(|| ApiError::invalid_field("document", "is required; send the document"))?;
    let content = document.content.map(|content| Content::parse(content.media_type, content.text)).transpose()?;
    let metadata = document.metadata.map(metadata::parse).transpose()?;
    Ok(Draft {
        organization,
        id: parse_id("document_id", &request.document_id)?,
        folder: parse_folder(organization, "document.folder", &document.folder)?.flatten(),
        title: model::title(document.title)?,
        body: Body { content: content.unwrap_or_default(), metadata: metadata.unwrap_or_default() },
    })
}

/// Reads an update.
pub(super) fn parse_update(request: wire::UpdateDocumentRequest) -> Result<Update, ApiError> {
    let document =
        request.document.ok_or_else(|| ApiError::invalid_field("document", "is required; send the document"))?;
    let name = DocumentName::parse_field("document.name", &document.name)?;
    let values = Values {
        title: document.title,
        folder: parse_folder(name.organization, "document.folder", &document.folder)?,
        content: document.content.map(|content| (content.media_type, content.text)),
        metadata: document.metadata.map(metadata::parse).transpose()?,
    };
    Ok(Update::parse(name, document.etag, request.update_mask.as_ref(), values)?)
}

/// Reads what to list.
pub(super) fn parse_query(request: &wire::ListDocumentsRequest) -> Result<DocumentQuery, ApiError> {
    let organization = parse_parent(&request.parent)?;
    Ok(DocumentQuery {
        organization,
        folder: parse_folder(organization, "folder", &request.folder)?,
        order: Order::parse(&request.order_by)?,
        show_deleted: request.show_deleted,
    })
}

/// Writes a document with its text.
pub(super) fn render(edition: Edition) -> wire::Document {
    let Edition { document, body } = edition;
    let metadata = metadata::render(&body.metadata);
    wire::Document { content: Some(render_content(body.content)), metadata: Some(metadata), ..render_listed(document) }
}

/// Writes a document without its text.
pub(super) fn render_listed(document: Document) -> wire::Document {
    let state = if document.trash.is_some() { State::Deleted } else { State::Active };
    wire::Document {
        name: document.name.to_string(),
        folder: document.folder_name().to_string(),
        files: document.file_names(),
        state: state.into(),
        head_revision: document.head,
        etag: Etag::of_version(document.version),
        creator: document.creator.name(),
        create_time: Some(timestamp(document.create_time)),
        update_time: Some(timestamp(document.update_time)),
        delete_time: document.trash.map(|trash| timestamp(trash.delete_time)),
        purge_time: document.trash.map(|trash| timestamp(trash.purge_time)),
        title: document.title,
        content: None,
        metadata: None,
    }
}

/// Writes a text.
pub(super) fn render_content(content: Content) -> wire::document::Content {
    wire::document::Content { media_type: content.media_type, text: content.text }
}

/// Reads the organization that something belongs to.
pub(super) fn parse_parent(parent: &str) -> Result<OrganizationId, ApiError> {
    OrganizationId::parse(parent).map_err(|error| error.violation("parent", "must have the form organizations/*"))
}

/// Reads an id that the caller chose; empty means that he did not.
pub(super) fn parse_id(field: &str, text: &str) -> Result<Option<Id>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|_| ApiError::invalid_field(field, "must be 26 characters of lower-case Crockford base32"))
}

/// Reads a folder: `None` when the field is empty, `Some(None)` for the root folder. A folder of another organization is as
/// good as absent.
fn parse_folder(organization: OrganizationId, field: &str, name: &str) -> Result<Option<Option<Id>>, ApiError> {
    if name.is_empty() {
        return Ok(None);
    }
    let folder = FolderName::parse_field(field, name)?;
    if folder.organization != organization {
        return Err(Error::FolderNotFound(folder).into());
    }
    Ok(Some(folder.folder))
}
