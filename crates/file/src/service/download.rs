//! Downloads: the whole content or one range, piece by piece.
use api::Caller;

use super::Files;
use crate::{
    content::Reader,
    error::Error,
    model::{Asked, File, FileName, Span, Wanted},
};

/// A download that may begin.
pub(crate) struct Download {
    /// The file.
    pub(crate) file: File,
    /// What of it.
    pub(crate) wanted: Wanted,
    /// Its bytes; none when the reader has them already.
    pub(crate) reader: Option<Box<dyn Reader>>,
}

impl Files {
    /// Opens a file for who may read it.
    pub(crate) async fn read(&self, caller: &Caller, name: FileName, asked: &Asked) -> Result<Download, Error> {
        let file = self.get_file(caller, name).await?;
        let wanted = asked.of(file.size, &file.content_tag())?;
        let span = match wanted {
            Wanted::Nothing => None,
            Wanted::Whole => Some(Span { start: 0, length: file.size }),
            Wanted::Part(span) => Some(span),
        };
        let reader = match span {
            Some(span) => Some(self.content.read(file.content, span.start, span.length).await?),
            None => None,
        };
        Ok(Download { file, wanted, reader })
    }
}
