// json_text.hpp: answers with pictures in them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "falproxy/http.hpp"
#include "json/access.hpp"

namespace falproxy::inline v0::openai {

/// JSON text that is built around large pieces, which are shared and not copied.
class JsonText {
 public:
  JsonText() { text_.reserve(512); }

  void add(std::string_view text) { text_.append(text); }

  /// `content` as a JSON string.
  void add_string(const Body& content) {
    const bool plain = std::ranges::all_of(
        content.pieces(), [](const Piece& piece) { return stands_for_itself(piece.bytes); });
    if (!plain) {
      text_ += json_string(content.str());
      return;
    }
    text_ += '"';
    for (const Piece& piece : content.pieces()) {
      if (piece.bytes.size() < worth_sharing) {
        text_.append(piece.bytes);
      } else {
        body_.append(std::exchange(text_, {}));
        body_.append(piece);
      }
    }
    text_ += '"';
  }

  [[nodiscard]] Body take() {
    body_.append(std::exchange(text_, {}));
    return std::move(body_);
  }

 private:
  static constexpr std::size_t worth_sharing = 4096;
  Body body_;
  std::string text_;
};

}  // namespace falproxy::inline v0::openai
