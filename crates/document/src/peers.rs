//! Calls to other services. Their messages stop here.
use api::{Caller, Code};
use mesh::client::Mesh;
use proto::file::v1::{File, GetFileRequest, file::State, file_service_client::FileServiceClient};

use crate::{error::Error, model::FileName};

/// The file service.
pub(crate) struct Files {
    mesh: Mesh,
}

impl Files {
    /// Calls over this mesh.
    pub(crate) fn new(mesh: Mesh) -> Self {
        Self { mesh }
    }

    /// Makes sure that the file exists and the caller may read it.
    pub(crate) async fn check_readable(&self, caller: &Caller, file: FileName) -> Result<(), Error> {
        let mut client = FileServiceClient::new(self.mesh.for_caller("file", caller));
        match client.get_file(GetFileRequest { name: file.to_string() }).await.map(tonic::Response::into_inner) {
            Ok(found) if is_available(&found) => Ok(()),
            Ok(_) => Err(Error::FileNotFound(file.to_string())),
            Err(status) => Err(refused(file, api::Error::from(status))),
        }
    }
}

fn is_available(file: &File) -> bool {
    file.state() == State::Available
}

/// Hidden and absent are one for the caller; that the file service is away is not his mistake.
fn refused(file: FileName, error: api::Error) -> Error {
    match error.code() {
        Code::NotFound | Code::PermissionDenied => Error::FileNotFound(file.to_string()),
        _ => Error::Api(error),
    }
}
