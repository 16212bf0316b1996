//! Which form of an answer a client wants.

use crate::protobuf;
use hardway_proto::Status;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// Kubernetes' protobuf.
    Protobuf,
}

impl Media {
    /// The one of a media type.
    pub fn named(media_type: &str) -> Option<Self> {
        match media_type {
            "application/json" => Some(Self::Json),
            "application/yaml" => Some(Self::Yaml),
            protobuf::MEDIA_TYPE => Some(Self::Protobuf),
            _ => None,
        }
    }
}

/// What can be had in protobuf of what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InProtobuf {
    /// Every object, but no Table.
    Objects,
    /// Metadata only: of custom resources.
    Metadata,
    /// Nothing: OpenAPI and its like.
    Nothing,
}

impl InProtobuf {
    fn has(self, shape: Shape) -> bool {
        match self {
            Self::Objects => shape != Shape::Table,
            Self::Metadata => shape == Shape::Partial,
            Self::Nothing => false,
        }
    }
}

/// In which shape objects are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// As they are.
    Object,
    /// As a Table.
    Table,
    /// Metadata only.
    Partial,
}

/// Which version of `meta.k8s.io` Tables and metadata are of. Both say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaVersion {
    /// The one of today.
    V1,
    /// The one that clients before Kubernetes 1.15 know.
    V1beta1,
}

impl MetaVersion {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V1beta1 => "v1beta1",
        }
    }
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// How.
    pub media: Media,
    /// In which shape.
    pub shape: Shape,
    /// Of which version, unless objects are answered as they are.
    pub meta_version: MetaVersion,
    /// Indented, for people.
    pub pretty: bool,
}

impl Default for Form {
    fn default() -> Self {
        Self {
            media: Media::Json,
            shape: Shape::Object,
            meta_version: MetaVersion::V1,
            pretty: false,
        }
    }
}

impl Form {
    /// The best form that an `Accept` header allows. 406 if there is none.
    pub fn accepted(accept: &str, in_protobuf: InProtobuf) -> Result<Self, Status> {
        Self::best(accept, |form| {
            form.media != Media::Protobuf || in_protobuf.has(form.shape)
        })
    }

    fn best(accept: &str, offered: impl Fn(&Self) -> bool) -> Result<Self, Status> {
        if accept.trim().is_empty() {
            return Ok(Self::default());
        }
        let mut best: Option<(f32, Self)> = None;
        for range in accept.split(',') {
            if let Some((quality, form)) = read_range(range)
                && offered(&form)
                && best.is_none_or(|(highest, _)| quality > highest)
            {
                best = Some((quality, form));
            }
        }
        best.map(|(_, form)| form).ok_or_else(|| {
            Status::failure(
                406,
                "NotAcceptable",
                "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf",
            )
        })
    }

    /// This form, where it can be had; otherwise the best of the others.
    pub fn within(self, accept: &str, in_protobuf: InProtobuf) -> Result<Self, Status> {
        if self.media != Media::Protobuf || in_protobuf.has(self.shape) {
            return Ok(self);
        }
        let form = Self::accepted(accept, in_protobuf)?;
        Ok(Self {
            pretty: self.pretty,
            ..form
        })
    }

    /// This form, unless it is a Table; then the best of the others: of what has none.
    pub fn without_table(self, accept: &str) -> Result<Self, Status> {
        if self.shape != Shape::Table {
            return Ok(self);
        }
        let form = Self::best(accept, |form| form.shape != Shape::Table)?;
        Ok(Self {
            pretty: self.pretty,
            ..form
        })
    }
}

/// One media range; `None` if it can't be served.
fn read_range(range: &str) -> Option<(f32, Form)> {
    let mut parts = range.split(';').map(str::trim);
    let media = match parts.next()?.to_ascii_lowercase().as_str() {
        "*/*" | "application/*" | "text/*" => Media::Json,
        media_type => Media::named(media_type)?,
    };
    let mut quality = 1.0;
    let (mut shape, mut group, mut version) = (Shape::Object, "", "");
    for part in parts {
        match part.split_once('=') {
            Some(("as", "Table")) => shape = Shape::Table,
            Some(("as", "PartialObjectMetadata" | "PartialObjectMetadataList")) => {
                shape = Shape::Partial;
            }
            Some(("as", _)) => return None,
            Some(("g", value)) => group = value,
            Some(("v", value)) => version = value,
            Some(("q", value)) => quality = value.parse().unwrap_or(0.0),
            _ => {}
        }
    }
    let plain = shape == Shape::Object && group.is_empty() && version.is_empty();
    let meta_version = match (group, version) {
        ("", "") if plain => MetaVersion::V1,
        ("meta.k8s.io", "v1") if shape != Shape::Object => MetaVersion::V1,
        // Its lists have other numbers in protobuf, which nobody needs.
        ("meta.k8s.io", "v1beta1") if shape != Shape::Object && media != Media::Protobuf => {
            MetaVersion::V1beta1
        }
        _ => return None,
    };
    let form = Form {
        media,
        shape,
        meta_version,
        pretty: false,
    };
    (quality > 0.0).then_some((quality, form))
}

#[cfg(test)]
mod tests {
    use super::*;
    use InProtobuf::{Metadata, Nothing, Objects};

    fn accepted(accept: &str) -> Form {
        Form::accepted(accept, Objects).unwrap()
    }

    #[test]
    fn kubectl_get_wants_a_table() {
        let accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        let form = accepted(accept);
        assert_eq!(
            (form.shape, form.meta_version),
            (Shape::Table, MetaVersion::V1)
        );
        let older = "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        let form = accepted(older);
        assert_eq!(
            (form.shape, form.meta_version),
            (Shape::Table, MetaVersion::V1beta1)
        );
        let unknown = "application/json;as=Table;v=v2;g=meta.k8s.io,application/json";
        assert_eq!(accepted(unknown), Form::default());
    }

    const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

    /// As `k8s.io/apiextensions-apiserver` does: definitions' objects are in protobuf only
    /// what everything has.
    #[test]
    fn protobuf_is_for_what_has_messages() {
        let components = format!("{PROTOBUF},application/json");
        assert_eq!(accepted(&components).media, Media::Protobuf);
        assert_eq!(accepted(&format!("{PROTOBUF}, */*")).media, Media::Protobuf);
        for without in [Metadata, Nothing] {
            let form = Form::accepted(&components, without);
            assert_eq!(form.unwrap(), Form::default());
            assert_eq!(Form::accepted(PROTOBUF, without).unwrap_err().code, 406);
        }
        let partial = "as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
        let collector = format!("{PROTOBUF};{partial},application/json;{partial},application/json");
        let form = Form::accepted(&collector, Metadata).unwrap();
        assert_eq!((form.media, form.shape), (Media::Protobuf, Shape::Partial));
        let table = format!("{PROTOBUF};as=Table;g=meta.k8s.io;v=v1");
        assert_eq!(Form::accepted(&table, Objects).unwrap_err().code, 406);
    }

    #[test]
    fn what_cannot_be_had_falls_back_to_the_next() {
        let accept = format!("{PROTOBUF},application/yaml;q=0.5,application/json;q=0.6");
        let form = Form {
            pretty: true,
            ..accepted(&accept)
        };
        assert_eq!(form.within(&accept, Objects).unwrap(), form);
        let other = form.within(&accept, Nothing).unwrap();
        assert_eq!((other.media, other.pretty), (Media::Json, true));
        assert_eq!(form.within(PROTOBUF, Metadata).unwrap_err().code, 406);
    }

    #[test]
    fn what_has_no_table_is_not_offered_as_one() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
        let refused = accepted(table).without_table(table).unwrap_err();
        assert_eq!(
            (refused.code, refused.reason.as_str()),
            (406, "NotAcceptable")
        );
        let either = format!("{table},application/json");
        let form = accepted(&either).without_table(&either).unwrap();
        assert_eq!(form, Form::default());
    }

    #[test]
    fn quality_counts() {
        let form = accepted("application/json;q=0.5, application/yaml");
        assert_eq!(form.media, Media::Yaml);
        assert_eq!(accepted("").media, Media::Json);
        assert_eq!(accepted("*/*").media, Media::Json);
    }
}
