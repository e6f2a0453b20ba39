// reply.hpp: an answer of Redis as a value, and the reader that makes it out of bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct redisReader;

namespace falproxy::inline v0::redis {

/// One answer of RESP2.
struct Reply {
  enum class Kind { nothing, text, error, number, list };
  Kind kind = Kind::nothing;
  std::string text = {};          ///< of text and error
  std::int64_t number = 0;        ///< of number
  std::vector<Reply> items = {};  ///< of list

  /// Another one with that place; `nothing` if there is none.
  [[nodiscard]] const Reply& at(std::size_t place) const noexcept;
};

/// What an error says, in a sentence for the operator. Of Redis' own text it has the first word
/// alone: the rest may repeat a password, or what was to be kept.
[[nodiscard]] std::string refusal_of(const Reply& error);

/// A command with its arguments, as bytes: by hiredis' formatter.
[[nodiscard]] std::string command_of(const std::vector<std::string>& words);

/// hiredis' reader, behind a check of its own: Debian 12's hiredis allocates whatever a head says,
/// so that `*N` and `$N` are looked at before it sees them.
class ReplyReader {
 public:
  static constexpr std::int64_t most_items = 200'000;
  static constexpr std::int64_t longest_text = 16 << 20;
  static constexpr std::size_t most_bytes = 64u << 20;  // of one answer
  static constexpr std::size_t deepest = 4;

  ReplyReader();
  ~ReplyReader();
  ReplyReader(const ReplyReader&) = delete;
  ReplyReader& operator=(const ReplyReader&) = delete;

  /// Takes bytes from the front; how many. Less than all: the rest of a head has to come first, or
  /// fault() says why there is no going on.
  [[nodiscard]] std::size_t feed(std::string_view bytes);
  /// The next whole answer; none: more has to be fed.
  [[nodiscard]] std::optional<Reply> next();
  /// Why what came is no answer, in words; empty: it is.
  [[nodiscard]] const std::string& fault() const noexcept { return fault_; }

 private:
  [[nodiscard]] bool takes_head(std::string_view line);
  void item_ended();

  std::unique_ptr<redisReader, void (*)(redisReader*)> reader_;
  std::vector<std::int64_t> left_;  // items that are still to come, of each list that is open
  std::size_t text_left_ = 0;       // bytes of a text, with its end of line
  std::size_t answer_bytes_ = 0;
  std::string fault_;
};

}  // namespace falproxy::inline v0::redis
