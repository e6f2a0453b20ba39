#include "log.hpp"

#include <algorithm>
#include <ctime>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/digits.hpp"
#include "base/fmt.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"

namespace falproxy::app {
namespace {

// How long the writer gathers lines before it writes them.
constexpr Milliseconds gather{20};
// Bytes of what came from outside.
constexpr std::size_t longest_name = 256;
constexpr std::size_t longest_message = 4096;
constexpr std::size_t longest_line = 64u << 10;

std::string timestamp(WallTime time) {
  const auto milliseconds = std::chrono::floor<Milliseconds>(time);
  const std::time_t seconds =
      std::chrono::system_clock::to_time_t(std::chrono::floor<Seconds>(milliseconds));
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::string text;
  text.reserve(32);
  append_digits(text, utc.tm_year + 1900, 4);
  text += '-';
  append_digits(text, utc.tm_mon + 1, 2);
  text += '-';
  append_digits(text, utc.tm_mday, 2);
  text += 'T';
  append_time_of_day(text, utc);
  text += '.';
  append_digits(text, (milliseconds - std::chrono::floor<Seconds>(milliseconds)).count(), 3);
  return text += 'Z';
}

// What ends a line, moves the terminal's cursor or turns the direction of writing: the controls of
// ASCII and Latin-1, the line separators, and Unicode's marks of direction.
bool is_control(char32_t c) noexcept {
  return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x200e || c == 0x200f ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

// One character as it may stand in a line; `quoted`: within quotes.
void append_character(std::string& line, std::string_view bytes, const Character& character,
                      bool quoted) {
  if (!character.code.has_value()) {
    line += "\ufffd";
  } else if (*character.code == '\n') {
    line += "\\n";
  } else if (is_control(*character.code)) {
    line += fmt::format("\\u{:04x}", static_cast<std::uint32_t>(*character.code));
  } else {
    if (quoted && (bytes == "\"" || bytes == "\\")) line += '\\';
    line += bytes;
  }
}

void append_text(std::string& line, std::string_view text, bool quoted) {
  while (!text.empty()) {
    const Character next = first_character(text);
    append_character(line, text.substr(0, next.length), next, quoted);
    text.remove_prefix(next.length);
  }
}

// The text of a message stays on its line.
std::string one_line(std::string_view text) {
  std::string clean;
  append_text(clean, text, false);
  return clean;
}

// A value of "name=value": in quotes unless nobody can take a part of it for another value.
std::string value_text(std::string_view value) {
  const bool plain = !value.empty() && std::ranges::all_of(value, [](char c) {
    return c > ' ' && c <= '~' && c != '"' && c != '\\' && c != '=';
  });
  if (plain) return std::string(value);
  std::string quoted = "\"";
  append_text(quoted, value, true);
  return quoted += '"';
}

void append_seconds(std::string& line, std::chrono::microseconds time) {
  append_thousandths(line, std::chrono::round<Milliseconds>(time).count());
}

std::string_view colour_of(int status) noexcept {
  return status >= 500 ? "\033[31m" : status >= 400 ? "\033[33m" : "\033[32m";
}

std::string_view colour_of(LogLevel level) noexcept {
  return level == LogLevel::error     ? "\033[31m"
         : level == LogLevel::warning ? "\033[33m"
                                      : "\033[2m";
}

std::string painted(std::string_view text, std::string_view colour, bool colours) {
  return colours ? std::string(colour).append(text).append("\033[0m") : std::string(text);
}

// What fal or the way to it did to the job that failed first; empty: nothing.
std::string_view fault_of(const RequestRecord& record) {
  if (record.error_code.empty()) return {};
  for (const JobReceipt& job : record.receipt.jobs) {
    if (!job.fault.empty()) return job.fault;
  }
  return {};
}

// In ASCII: whoever looks at the log on a terminal sees no control characters either.
std::string json_line(const nlohmann::ordered_json& line) {
  return line.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace);
}

std::string request_as_json(const RequestRecord& record) {
  nlohmann::ordered_json line;
  line["time"] = timestamp(record.time);
  line["level"] = record.status >= 500 ? "error" : "info";
  line["event"] = "request";
  line["request_id"] = record.request_id;
  line["client"] = record.client;
  line["route"] = record.route;
  line["status"] = record.status;
  line["seconds"] = seconds_of(record.total);
  line["model"] = record.model;
  if (!record.receipt.served_model.empty()) line["served_model"] = record.receipt.served_model;
  line["images"] = record.receipt.images;
  line["request_bytes"] = record.request_bytes;
  line["answer_bytes"] = record.answer_bytes;
  for (const auto& [name, time] : phases_of(record)) {
    if (time.count() > 0 && name != "total") line["phases"][std::string(name)] = seconds_of(time);
  }
  if (const std::string ids = fal_request_ids(record.receipt, ","); !ids.empty())
    line["fal_request_id"] = ids;
  if (const double units = billable_units(record.receipt).value_or(0); units > 0)
    line["billable_units"] = units;
  if (const std::optional<Usd> cost = cost_of(record.receipt)) line["cost_usd"] = cost->to_string();
  for (const JobReceipt& job : record.receipt.jobs) line["key_slots"].push_back(job.key_slot);
  if (record.receipt.recovered) line["recovered"] = true;
  if (record.client_left) line["client_left"] = true;
  if (!record.error_code.empty()) {
    line["error"] = record.error_code;
    line["message"] = record.error_message;
    if (const std::string_view fault = fault_of(record); !fault.empty()) line["cause"] = fault;
  }
  return json_line(line);
}

// What a record takes in memory.
std::size_t bytes_of(const RequestRecord& record) {
  const Receipt& receipt = record.receipt;
  std::size_t bytes = sizeof record + record.request_id.size() + record.client.size() +
                      record.model.size() + record.error_code.size() + record.error_message.size() +
                      receipt.requested_model.size() + receipt.served_model.size();
  for (const JobReceipt& job : receipt.jobs) {
    bytes += sizeof job + job.fal_request_id.size() + job.endpoint.size() + job.fault.size();
  }
  for (const plan::Note& note : receipt.notes) {
    bytes += sizeof note + note.field.size() + note.text.size();
  }
  return bytes;
}

std::string request_as_text(const RequestRecord& record, bool colours) {
  std::string line = painted(timestamp(record.time), "\033[2m", colours);
  line.append(" ").append(
      painted(std::to_string(record.status), colour_of(record.status), colours));
  line.append(" ").append(record.route).append(" ");
  append_seconds(line, record.total);
  line.append(" s");
  const auto add = [&line](std::string_view name, std::string_view value) {
    line.append(" ").append(name).append("=").append(value_text(value));
  };
  if (!record.client.empty()) add("client", record.client);
  if (!record.model.empty()) add("model", record.model);
  if (!record.receipt.served_model.empty() && record.receipt.served_model != record.model) {
    add("served", record.receipt.served_model);
  }
  if (record.receipt.images > 0) add("images", std::to_string(record.receipt.images));
  if (const std::optional<Usd> cost = cost_of(record.receipt)) add("cost_usd", cost->to_string());
  add("in", std::to_string(record.request_bytes));
  add("out", std::to_string(record.answer_bytes));
  for (const auto& [name, time] : phases_of(record)) {
    if (time < Milliseconds(1) || name == "total") continue;
    line.append(" ").append(name).append("=");
    append_seconds(line, time);
  }
  if (const std::string ids = fal_request_ids(record.receipt, ","); !ids.empty()) add("fal", ids);
  if (record.receipt.recovered) add("recovered", "true");
  if (record.client_left) add("left", "true");
  add("id", record.request_id);
  if (!record.error_code.empty()) {
    line.append(" error=");
    line.append(painted(record.error_code, colour_of(record.status), colours));
    add("message", record.error_message);
    if (const std::string_view fault = fault_of(record); !fault.empty()) add("cause", fault);
  }
  return line;
}

}  // namespace

std::string fal_request_ids(const Receipt& receipt, std::string_view between) {
  std::string ids;
  for (const JobReceipt& job : receipt.jobs) {
    if (!job.fal_request_id.empty())
      ids.append(ids.empty() ? "" : between).append(job.fal_request_id);
  }
  return ids;
}

std::optional<double> billable_units(const Receipt& receipt) {
  std::optional<double> units;
  for (const JobReceipt& job : receipt.jobs) {
    if (job.billable_units) units = units.value_or(0) + *job.billable_units;
  }
  return units;
}

Phases phases_of(const RequestRecord& record) {
  const Receipt& receipt = record.receipt;
  return {{{"map", receipt.map},
           {"upload", receipt.upload},
           {"submit", receipt.submit},
           {"queue", receipt.queue},
           {"inference", receipt.inference},
           {"result", receipt.result},
           {"media", receipt.media},
           {"total", record.total}}};
}

std::string format_request(const RequestRecord& record, LogFormat format, bool colours) {
  return format == LogFormat::json ? request_as_json(record) : request_as_text(record, colours);
}

std::string format_line(WallTime time, LogLevel level, std::string_view text, LogFormat format,
                        bool colours) {
  if (format == LogFormat::json) {
    nlohmann::ordered_json line;
    line["time"] = timestamp(time);
    line["level"] = name_of(level);
    line["event"] = "message";
    line["message"] = text;
    return json_line(line);
  }
  return fmt::format("{} {} {}", painted(timestamp(time), "\033[2m", colours),
                     painted(name_of(level), colour_of(level), colours), one_line(text));
}

RequestRecord shortened(RequestRecord record) {
  record.model = cut(record.model, longest_name);
  record.error_message = cut(record.error_message, longest_message);
  for (JobReceipt& job : record.receipt.jobs) job.fault = cut(job.fault, longest_message);
  return record;
}

Log::Log(Options options, std::function<void(std::string_view)> write)
    : queue_lines_(options.queue_lines),
      queue_bytes_(options.queue_bytes),
      colours_(options.colours),
      write_(std::move(write)),
      format_(options.format),
      level_(options.level),
      writer_([this] { run(); }) {}

Log::~Log() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  filled_.notify_one();
  writer_.join();
}

void Log::line(LogLevel level, std::string text) {
  if (!wants(level)) return;
  if (text.size() > longest_line) text = cut(text, longest_line);
  const std::size_t bytes = sizeof(Entry) + text.size();
  push(Line{std::chrono::system_clock::now(), level, std::move(text)}, bytes);
}

void Log::request(RequestRecord record) {
  const std::size_t bytes = bytes_of(record);
  push(std::move(record), bytes);
}

void Log::reload(LogFormat format, LogLevel level) noexcept {
  format_ = format;
  level_ = level;
}

std::size_t Log::queued_bytes() const {
  const std::lock_guard lock(mutex_);
  return kept_bytes_;
}

void Log::push(Entry entry, std::size_t bytes) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    if (queue_.size() >= queue_lines_ || bytes > queue_bytes_ - kept_bytes_) {
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    first = queue_.empty();
    queue_.push_back(std::move(entry));
    kept_bytes_ += bytes;
    queued_bytes_ += bytes;
  }
  if (first) filled_.notify_one();
}

void Log::run() {
  std::vector<Entry> taken;
  std::size_t taken_bytes = 0;
  std::uint64_t told = 0;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      filled_.wait(lock, [this] { return !queue_.empty() || stopping_; });
      // Whoever comes in the meantime need not wake this thread.
      if (!stopping_) filled_.wait_for(lock, gather, [this] { return stopping_; });
      taken.swap(queue_);
      taken_bytes = std::exchange(queued_bytes_, 0);
      if (taken.empty() && stopping_) return;
    }
    std::string text;
    for (const Entry& entry : taken) {
      if (const auto* line = std::get_if<Line>(&entry)) {
        text += format_line(line->time, line->level, line->text, format_, colours_);
      } else {
        text += format_request(std::get<RequestRecord>(entry), format_, colours_);
      }
      text += '\n';
    }
    taken.clear();
    if (const std::uint64_t dropped = dropped_.load(); dropped != told) {
      text +=
          format_line(std::chrono::system_clock::now(), LogLevel::warning,
                      fmt::format("{} lines were dropped: the log cannot be written fast enough",
                                  dropped - told),
                      format_, colours_);
      text += '\n';
      told = dropped;
    }
    write_(text);
    const std::lock_guard lock(mutex_);
    kept_bytes_ -= taken_bytes;
  }
}

std::string without_base64(std::string_view text, std::size_t max_bytes) {
  constexpr std::size_t longest_word = 120;
  const auto is_base64 = [](char c) {
    return is_alnum(c) || c == '+' || c == '/' || c == '-' || c == '_' || c == '=';
  };
  std::string out;
  while (!text.empty() && out.size() < max_bytes) {
    std::size_t run = 0;
    while (run < text.size() && is_base64(text[run])) ++run;
    if (run > longest_word) {
      fmt::format_to(std::back_inserter(out), "[{} bytes]", run);
    } else {
      out.append(text.substr(0, run));
    }
    text.remove_prefix(run);
    if (!text.empty()) {
      out += text.front();
      text.remove_prefix(1);
    }
  }
  if (!text.empty()) fmt::format_to(std::back_inserter(out), "... ({} bytes more)", text.size());
  return out;
}

}  // namespace falproxy::app
