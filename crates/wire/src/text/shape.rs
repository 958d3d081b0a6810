//! Where texts stand in each dialect, as one table: what a value is expected to be, and what it counts.
//!
//! Follows what OpenAI (chat, responses) and Anthropic (messages) publish of their dialects. Members are told apart
//! by name; where only a part's `type` says what it is, [`Shape::Kind`] notes it.
//!
//! Begins at [`Shape`].

/// What a value is expected to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// A list of these.
    List(Object),
    /// One of these.
    Object(Object),
    /// Counts as text; a list counts as parts.
    Content(Listed),
    /// Counts as it is written: JSON that the model is shown or writes. A string counts as its content.
    Raw,
    /// Counts this many tokens, whatever it holds, unless that is null.
    Fixed(u64),
    /// Says what the object around it is.
    Kind,
    /// Says where the medium is that the object around it stands for: in itself as text, or elsewhere.
    Source,
    /// Names what the object around it stands for, and where that is: with the model server, or at an address.
    Named,
    /// Says who wrote the object around it.
    Author,
    /// Counts nothing.
    Nothing,
}

/// An object whose members we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Object {
    /// Chat: of a request, of an answer (`message`), or a part of one (`delta`).
    Message,
    /// Chat: one of several parts of a message.
    Part,
    /// Chat: what a part holds that is a file.
    File,
    ToolCall,
    Function,
    /// Chat and completions.
    Choice,
    /// Responses: one of the items of the input.
    Item,
    /// Responses: one of several parts of an item.
    ItemPart,
    /// Responses: one of the items that the model wrote.
    WrittenItem,
    /// Messages: one of a conversation.
    Turn,
    /// Messages: one of several blocks of a turn.
    Block,
    /// Messages: one of the blocks that the model wrote, or a part of one (`delta`).
    WrittenBlock,
}

/// What a list of parts holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listed {
    /// Chat.
    Parts,
    /// Responses.
    ItemParts,
    /// Messages.
    Blocks,
}

impl Shape {
    /// `messages` of a chat.
    pub(crate) const MESSAGES: Self = Self::List(Object::Message);
    /// `choices` of an answer, or of a chunk of one.
    pub(crate) const CHOICES: Self = Self::List(Object::Choice);
    /// One part of a chat's message, on its own.
    pub(crate) const PART: Self = Self::Object(Object::Part);
    /// `input` of a response, where it is a list.
    pub(crate) const ITEMS: Self = Self::List(Object::Item);
    /// `output` of a response.
    pub(crate) const WRITTEN_ITEMS: Self = Self::List(Object::WrittenItem);
    /// `messages` in Anthropic's dialect.
    pub(crate) const TURNS: Self = Self::List(Object::Turn);
    /// `content` of an answer in Anthropic's dialect.
    pub(crate) const WRITTEN_BLOCKS: Self = Self::List(Object::WrittenBlock);
    /// `delta` of an event in Anthropic's dialect.
    pub(crate) const BLOCK_DELTA: Self = Self::Object(Object::WrittenBlock);

    /// What each element of a list is, and what a chat template adds to it, in tokens.
    pub(super) fn element(self) -> (Self, u64) {
        let Self::List(object) = self else { return (Self::Nothing, 0) };
        let templated = matches!(object, Object::Message | Object::Item | Object::Turn);
        (Self::Object(object), if templated { tokens::MESSAGE_OVERHEAD } else { 0 })
    }

    /// Whether it is an item of a response's input.
    pub(super) fn is_item(self) -> bool {
        matches!(self, Self::Object(Object::Item))
    }

    /// What an object counts besides its members, in tokens.
    pub(super) fn itself(self) -> u64 {
        if matches!(self, Self::Object(Object::File)) { tokens::FILE } else { 0 }
    }

    /// What the member of an object is.
    pub(super) fn member(self, name: &str) -> Self {
        match self {
            Self::Object(object) => object.member(name),
            Self::List(_)
            | Self::Content(_)
            | Self::Raw
            | Self::Fixed(_)
            | Self::Kind
            | Self::Source
            | Self::Named
            | Self::Author
            | Self::Nothing => Self::Nothing,
        }
    }
}

impl Object {
    fn member(self, name: &str) -> Shape {
        match self {
            Self::Message | Self::Part | Self::File | Self::ToolCall | Self::Function | Self::Choice => {
                self.chat_member(name)
            }
            Self::Item | Self::ItemPart | Self::WrittenItem => self.responses_member(name),
            Self::Turn | Self::Block | Self::WrittenBlock => self.messages_member(name),
        }
    }

    fn chat_member(self, name: &str) -> Shape {
        match (self, name) {
            (Self::Message, "content" | "refusal" | "name" | "reasoning_content" | "reasoning")
            | (Self::Part, "text" | "refusal")
            | (Self::Function, "name" | "arguments" | "input")
            | (Self::Choice, "text") => Shape::Content(Listed::Parts),
            (Self::Message, "tool_calls") => Shape::List(Self::ToolCall),
            (Self::Message, "function_call") | (Self::ToolCall, "function" | "custom") => {
                Shape::Object(Self::Function)
            }
            (Self::Choice, "message" | "delta") => Shape::Object(Self::Message),
            (Self::Part, "image_url" | "input_image" | "image") => Shape::Fixed(tokens::IMAGE),
            (Self::Part, "input_audio" | "audio_url") => Shape::Fixed(tokens::AUDIO),
            (Self::Part, "video_url") => Shape::Fixed(tokens::VIDEO),
            (Self::Part, "file") => Shape::Object(Self::File),
            // An earlier answer that was spoken is sent back by its id.
            (Self::File, "file_id") | (Self::Message, "audio") => Shape::Named,
            _ => Shape::Nothing,
        }
    }

    /// Items differ by `type`, but no two of them give one name two meanings.
    fn responses_member(self, name: &str) -> Shape {
        match (self, name) {
            (Self::Item | Self::WrittenItem, "content" | "summary")
            | (Self::Item, "output")
            | (Self::ItemPart, "text" | "refusal" | "stdout" | "stderr") => Shape::Content(Listed::ItemParts),
            // What is encrypted stands for reasoning or earlier turns of about that length.
            (
                Self::Item | Self::WrittenItem,
                "name" | "arguments" | "input" | "code" | "action" | "operation",
            )
            | (Self::Item, "encrypted_content" | "tools" | "results" | "outputs") => Shape::Raw,
            (Self::Item, "result") => Shape::Fixed(tokens::IMAGE),
            (Self::Item | Self::ItemPart, "type") => Shape::Kind,
            (Self::ItemPart, "file_id" | "file_url") => Shape::Named,
            (Self::Item, "role") => Shape::Author,
            _ => Shape::Nothing,
        }
    }

    fn messages_member(self, name: &str) -> Shape {
        match (self, name) {
            (Self::Turn, "content")
            | (Self::Block, "text" | "thinking" | "content" | "title" | "context" | "stdout" | "stderr")
            | (Self::WrittenBlock, "text" | "thinking") => Shape::Content(Listed::Blocks),
            (Self::Block | Self::WrittenBlock, "name" | "input")
            | (Self::Block, "encrypted_content")
            | (Self::WrittenBlock, "partial_json") => Shape::Raw,
            (Self::Block, "type") => Shape::Kind,
            (Self::Block, "file_id") => Shape::Named,
            (Self::Block, "source") => Shape::Source,
            _ => Shape::Nothing,
        }
    }
}

impl Listed {
    pub(super) fn list(self) -> Shape {
        match self {
            Self::Parts => Shape::List(Object::Part),
            Self::ItemParts => Shape::List(Object::ItemPart),
            Self::Blocks => Shape::List(Object::Block),
        }
    }

    /// One part where a list of them could be. Chat knows no such thing.
    pub(super) fn single(self) -> Option<Shape> {
        match self {
            Self::Parts => None,
            Self::ItemParts => Some(Shape::Object(Object::ItemPart)),
            Self::Blocks => Some(Shape::Object(Object::Block)),
        }
    }
}

/// Whether a part or an item of this type is an image.
pub(super) fn is_image(kind: &str) -> bool {
    matches!(kind, "image" | "input_image" | "image_url" | "computer_screenshot")
}

/// Tokens of a part that is a medium by its type alone.
pub(super) fn media_tokens(kind: &str) -> u64 {
    match kind {
        "input_image" | "image_url" | "computer_screenshot" => tokens::IMAGE,
        "input_file" | "container_upload" => tokens::FILE,
        "input_audio" | "audio_url" => tokens::AUDIO,
        "input_video" | "video_url" => tokens::VIDEO,
        _ => 0,
    }
}
