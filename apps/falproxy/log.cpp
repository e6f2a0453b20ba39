#include "log.hpp"

#include <array>
#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/digits.hpp"
#include "base/fmt.hpp"
#include "json/access.hpp"

namespace falproxy::app {
namespace {

// How long the writer gathers lines before it writes them.
constexpr Milliseconds gather{20};

constexpr std::string_view name_of(LogLevel level) noexcept {
  constexpr std::array<std::string_view, 4> names = {"debug", "info", "warning", "error"};
  return names[static_cast<std::size_t>(level)];
}

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

// Text from outside stays on its line, and does not move the terminal's cursor.
std::string one_line(std::string_view text) {
  std::string clean(text);
  for (char& c : clean) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return clean;
}

void append_seconds(std::string& line, std::chrono::microseconds time) {
  append_thousandths(line, std::chrono::round<Milliseconds>(time).count());
}

double seconds_of(std::chrono::microseconds time) {
  return std::chrono::duration<double>(time).count();
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

std::string fal_request_ids(const Receipt& receipt) {
  std::string ids;
  for (const JobReceipt& job : receipt.jobs) {
    if (job.fal_request_id.empty()) continue;
    if (!ids.empty()) ids += ',';
    ids += job.fal_request_id;
  }
  return ids;
}

// What fal or the way to it did to the job that failed first; empty: nothing.
std::string_view fault_of(const RequestRecord& record) {
  if (record.error_code.empty()) return {};
  for (const JobReceipt& job : record.receipt.jobs) {
    if (!job.fault.empty()) return job.fault;
  }
  return {};
}

double billable_units(const Receipt& receipt) {
  double units = 0;
  for (const JobReceipt& job : receipt.jobs) units += job.billable_units.value_or(0);
  return units;
}

// In the order of the way of a request.
std::array<std::pair<std::string_view, std::chrono::microseconds>, 7> phases(
    const Receipt& receipt) {
  return {{{"map", receipt.map},
           {"upload", receipt.upload},
           {"submit", receipt.submit},
           {"queue", receipt.queue},
           {"inference", receipt.inference},
           {"result", receipt.result},
           {"media", receipt.media}}};
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
  for (const auto& [name, time] : phases(record.receipt)) {
    if (time.count() > 0) line["phases"][std::string(name)] = seconds_of(time);
  }
  if (const std::string ids = fal_request_ids(record.receipt); !ids.empty())
    line["fal_request_id"] = ids;
  if (const double units = billable_units(record.receipt); units > 0)
    line["billable_units"] = units;
  for (const JobReceipt& job : record.receipt.jobs) line["key_slots"].push_back(job.key_slot);
  if (record.receipt.recovered) line["recovered"] = true;
  if (record.client_left) line["client_left"] = true;
  if (!record.error_code.empty()) {
    line["error"] = record.error_code;
    line["message"] = record.error_message;
    if (const std::string_view fault = fault_of(record); !fault.empty()) line["cause"] = fault;
  }
  return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string request_as_text(const RequestRecord& record, bool colours) {
  std::string line = painted(timestamp(record.time), "\033[2m", colours);
  line.append(" ").append(
      painted(std::to_string(record.status), colour_of(record.status), colours));
  line.append(" ").append(record.route).append(" ");
  append_seconds(line, record.total);
  line.append(" s");
  const auto add = [&line](std::string_view name, std::string_view value) {
    line.append(" ").append(name).append("=").append(value);
  };
  if (!record.client.empty()) add("client", record.client);
  if (!record.model.empty()) add("model", one_line(record.model));
  if (!record.receipt.served_model.empty() && record.receipt.served_model != record.model) {
    add("served", one_line(record.receipt.served_model));
  }
  if (record.receipt.images > 0) add("images", std::to_string(record.receipt.images));
  add("in", std::to_string(record.request_bytes));
  add("out", std::to_string(record.answer_bytes));
  for (const auto& [name, time] : phases(record.receipt)) {
    if (time < Milliseconds(1)) continue;
    add(name, {});
    append_seconds(line, time);
  }
  if (const std::string ids = fal_request_ids(record.receipt); !ids.empty()) add("fal", ids);
  if (record.receipt.recovered) add("recovered", "true");
  if (record.client_left) add("left", "true");
  add("id", record.request_id);
  if (!record.error_code.empty()) {
    line.append(" ").append(painted(record.error_code, colour_of(record.status), colours));
    line.append(": ").append(one_line(record.error_message));
    if (const std::string_view fault = fault_of(record); !fault.empty())
      line.append(" (").append(one_line(fault)).append(")");
  }
  return line;
}

}  // namespace

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
    return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  }
  return fmt::format("{} {} {}", painted(timestamp(time), "\033[2m", colours),
                     painted(name_of(level), colour_of(level), colours), one_line(text));
}

Log::Log(Options options, std::function<void(std::string_view)> write)
    : queue_lines_(options.queue_lines),
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
  if (wants(level)) push(Line{std::chrono::system_clock::now(), level, std::move(text)});
}

void Log::request(RequestRecord record) { push(std::move(record)); }

void Log::reload(LogFormat format, LogLevel level) noexcept {
  format_ = format;
  level_ = level;
}

void Log::push(Entry entry) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    if (queue_.size() >= queue_lines_) {
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    first = queue_.empty();
    queue_.push_back(std::move(entry));
  }
  if (first) filled_.notify_one();
}

void Log::run() {
  std::vector<Entry> taken;
  std::uint64_t told = 0;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      filled_.wait(lock, [this] { return !queue_.empty() || stopping_; });
      // Whoever comes in the meantime need not wake this thread.
      if (!stopping_) filled_.wait_for(lock, gather, [this] { return stopping_; });
      taken.swap(queue_);
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
  }
}

}  // namespace falproxy::app
