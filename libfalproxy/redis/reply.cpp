#include "reply.hpp"

#include <hiredis/hiredis.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <new>
#include <utility>

#include "base/fmt.hpp"

namespace falproxy::inline v0::redis {
namespace {

// Errors and states may be sentences; the heads of texts and lists are numbers.
constexpr std::size_t longest_line = 64u << 10;
constexpr std::size_t longest_head = 32;

Reply reply_of(const redisReply& from) {
  Reply reply;
  switch (from.type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
      reply.kind = Reply::Kind::text;
      reply.text.assign(from.str, from.len);
      break;
    case REDIS_REPLY_ERROR:
      reply.kind = Reply::Kind::error;
      reply.text.assign(from.str, from.len);
      break;
    case REDIS_REPLY_INTEGER:
      reply.kind = Reply::Kind::number;
      reply.number = from.integer;
      break;
    case REDIS_REPLY_ARRAY:
      reply.kind = Reply::Kind::list;
      reply.items.reserve(from.elements);
      for (std::size_t i = 0; i < from.elements; ++i)
        reply.items.push_back(reply_of(*from.element[i]));
      break;
    default:
      break;
  }
  return reply;
}

std::optional<std::int64_t> number_in(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (fault != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

const Reply& Reply::at(std::size_t place) const noexcept {
  static const Reply none;
  return place < items.size() ? items[place] : none;
}

std::string refusal_of(const Reply& error) {
  const std::string_view text = error.text;
  const std::string_view word = text.substr(0, std::min<std::size_t>(text.find(' '), 32));
  const bool is_word = std::ranges::all_of(
      word, [](char c) { return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; });
  constexpr std::pair<std::string_view, std::string_view> mends[] = {
      {"WRONGPASS", "the user or the password in STATE_URL is wrong"},
      {"NOAUTH", "STATE_URL must have its password"},
      {"NOPERM", "the user in STATE_URL may not do what falproxy needs: allow it all commands"},
      {"OOM", "its memory is full: raise 'maxmemory'"},
      {"MISCONF", "it cannot write to its disk: look into its log"},
      {"LOADING", "it loads its data still"},
      {"READONLY", "it is no master: STATE_URL must name the master, or its Sentinels"},
      {"MASTERDOWN", "it has lost its master: STATE_URL must name the master, or its Sentinels"},
      {"NOSCRIPT", "it has lost the scripts that it was given"}};
  const auto* const known =
      std::ranges::find(mends, word, &std::pair<std::string_view, std::string_view>::first);
  return fmt::format("Redis refuses a command ({}): {}.", is_word && !word.empty() ? word : "ERR",
                     known != std::end(mends)
                         ? known->second
                         : "it must be Redis 6.2 or newer, have the database of STATE_URL, "
                           "and no command may be renamed");
}

std::string command_of(const std::vector<std::string>& words) {
  std::vector<const char*> starts;
  std::vector<std::size_t> sizes;
  for (const std::string& word : words) {
    starts.push_back(word.data());
    sizes.push_back(word.size());
  }
  char* made = nullptr;
  const auto size =
      redisFormatCommandArgv(&made, static_cast<int>(words.size()), starts.data(), sizes.data());
  if (size < 0 || made == nullptr) throw std::bad_alloc();
  const std::unique_ptr<char, void (*)(char*)> kept(made, [](char* p) { redisFreeCommand(p); });
  return {made, static_cast<std::size_t>(size)};
}

ReplyReader::ReplyReader()
    : reader_(redisReaderCreate(), [](redisReader* reader) { redisReaderFree(reader); }) {
  if (reader_ == nullptr) throw std::bad_alloc();
}
ReplyReader::~ReplyReader() = default;

void ReplyReader::item_ended() {
  while (!left_.empty() && --left_.back() == 0) left_.pop_back();
  if (left_.empty()) answer_bytes_ = 0;
}

// False: it is no head, or it asks for too much.
bool ReplyReader::takes_head(std::string_view line) {
  const std::string_view rest = line.substr(1);
  switch (line.front()) {
    case '+':
    case '-':
      item_ended();
      return true;
    case ':':
      item_ended();
      return number_in(rest).has_value();
    case '$': {
      const std::optional<std::int64_t> size = number_in(rest);
      if (!size || *size < -1 || *size > longest_text) return false;
      if (*size < 0) {
        item_ended();
      } else {
        text_left_ = static_cast<std::size_t>(*size) + 2;
      }
      return true;
    }
    case '*': {
      const std::optional<std::int64_t> count = number_in(rest);
      if (!count || *count < -1 || *count > most_items) return false;
      if (*count <= 0) {
        item_ended();
        return true;
      }
      if (left_.size() >= deepest) return false;
      left_.push_back(*count);
      return true;
    }
    default:
      return false;
  }
}

std::size_t ReplyReader::feed(std::string_view bytes) {
  std::size_t taken = 0;
  while (fault_.empty() && taken < bytes.size()) {
    const std::string_view rest = bytes.substr(taken);
    std::size_t step = 0;
    if (text_left_ > 0) {
      step = std::min(text_left_, rest.size());
      text_left_ -= step;
      answer_bytes_ += step;
      if (text_left_ == 0) item_ended();
    } else {
      const std::size_t end = rest.substr(0, longest_line).find("\r\n");
      const bool is_number = rest.front() != '+' && rest.front() != '-';
      if (end == std::string_view::npos) {
        if (rest.size() >= (is_number ? longest_head : longest_line))
          fault_ = "a line of its answer is too long";
        break;
      }
      step = end + 2;
      answer_bytes_ += step;
      if (end == 0 || (is_number && end > longest_head) || !takes_head(rest.substr(0, end))) {
        fault_ = "its answer is no RESP2, or larger than any that was asked for";
        break;
      }
    }
    if (answer_bytes_ > most_bytes) fault_ = "its answer is larger than any that was asked for";
    taken += step;
  }
  if (fault_.empty() && taken > 0 &&
      redisReaderFeed(reader_.get(), bytes.data(), taken) != REDIS_OK)
    fault_ = reader_->errstr;
  return taken;
}

std::optional<Reply> ReplyReader::next() {
  void* made = nullptr;
  if (!fault_.empty()) return std::nullopt;
  if (redisReaderGetReply(reader_.get(), &made) != REDIS_OK) {
    fault_ = reader_->errstr;
    return std::nullopt;
  }
  if (made == nullptr) return std::nullopt;
  const std::unique_ptr<redisReply, void (*)(redisReply*)> kept(
      static_cast<redisReply*>(made), [](redisReply* reply) { freeReplyObject(reply); });
  return reply_of(*kept);
}

}  // namespace falproxy::inline v0::redis
