/// What becomes of a client's connection.
enum FastPortState {
  /// It is up.
  connected,

  /// It is lost; the client tries again by itself.
  disconnected,

  /// Another one has taken the place of one that was still up, since its node is about to stop. Nothing was lost between them.
  moved,

  /// The client has ended: see `client.error`.
  closed,
}
