// Input: a server-sent event stream; its first byte says how it is cut into pieces.
#include <string>
#include <vector>

#include "base/text.hpp"
#include "falproxy/fal.hpp"
#include "law.hpp"

using falproxy::fal::EventStreamReader;
using fuzz::hold;

namespace {

using Events = std::vector<std::string>;

struct Read {
  Events events;
  bool whole = true;
  bool operator==(const Read&) const = default;
};

Read read(std::string_view stream, std::size_t piece, std::size_t max) {
  EventStreamReader reader(max);
  Read result;
  while (!stream.empty() && result.whole) {
    result.whole = reader.feed(stream.substr(0, piece), [&](std::string_view data) {
      result.events.emplace_back(data);
      return true;
    });
    stream.remove_prefix(std::min(piece, stream.size()));
  }
  return result;
}

// The same by the standard's own steps (WHATWG HTML, 9.2.6), on the whole text.
Events by_the_standard(std::string_view stream) {
  if (stream.starts_with("\xEF\xBB\xBF")) stream.remove_prefix(3);
  std::string lines;
  for (std::size_t i = 0; i < stream.size(); ++i) {
    if (stream[i] == '\r' && i + 1 < stream.size() && stream[i + 1] == '\n') continue;
    lines += stream[i] == '\r' ? '\n' : stream[i];
  }
  lines.resize(lines.rfind('\n') == std::string::npos
                   ? 0
                   : lines.rfind('\n'));  // an unfinished line says nothing
  Events events;
  std::string data;
  falproxy::for_each_part(lines, '\n', [&](std::string_view line) {
    if (line.empty()) {
      if (!data.empty()) events.push_back(data.substr(0, data.size() - 1));
      data.clear();
      return;
    }
    const std::size_t colon = line.find(':');
    std::string_view value = colon == std::string_view::npos ? "" : line.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (line.substr(0, colon) == "data") data.append(value).append("\n");
  });
  return events;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t piece = data[0] % 16 + 1;
  const std::string_view stream = fuzz::text(data + 1, size - 1);
  const Read whole = read(stream, stream.size() + 1, 1 << 20);
  hold(whole.whole, "a small stream is read to its end");
  hold(read(stream, piece, 1 << 20) == whole, "how a stream is cut changes nothing");
  hold(read(stream, 1, 1 << 20) == whole, "a stream may come byte by byte");
  hold(by_the_standard(stream) == whole.events, "the reader follows the standard");

  const Read narrow = read(stream, piece, 8);
  for (const std::string& event : narrow.events)
    hold(event.size() <= 8, "no event is larger than it may be");
  hold(narrow.events.size() <= whole.events.size(), "a limit brings no new events");
  return 0;
}
