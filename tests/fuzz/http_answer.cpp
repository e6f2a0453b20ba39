// Input: the method of a request, "---", what an upstream or a proxy (CONNECT) sends on the
// connection.
#include <optional>
#include <string>
#include <string_view>

#include "http1.hpp"
#include "law.hpp"

using namespace falproxy;
using fuzz::hold;

namespace {

struct Answer {
  int status = 0;
  std::string body;
  bool malformed = false, complete = false, may_end = false;
  std::size_t unread = 0;
  bool operator==(const Answer&) const = default;
};

// In pieces of `step` bytes.
Answer read(std::string_view method, std::string_view bytes, std::size_t step) {
  Answer answer;
  std::optional<http1::ResponseHead> head;
  std::optional<http1::BodyDecoder> body;
  std::size_t from = 0;
  for (std::size_t to = 0; to < bytes.size() && !answer.malformed && !answer.complete;) {
    to = std::min(to + step, bytes.size());
    if (!head) {
      auto read = http1::read_response_head(bytes.substr(0, to), method);
      answer.malformed = !read;
      if (!read || !read->has_value()) continue;
      head = **read;
      hold(head->bytes <= to, "a head takes no more than was sent");
      from = head->bytes;
      answer.status = head->head.status;
      body.emplace(head->framing, head->length);
    }
    std::string_view rest = bytes.substr(from, to - from);
    while (true) {
      const std::string_view run = body->take(rest);
      if (run.empty()) break;
      answer.body.append(run);
    }
    from = to - rest.size();
    answer.malformed = body->malformed();
    answer.complete = body->complete();
    hold(answer.malformed || answer.complete || rest.empty(), "what is no payload is framing");
  }
  if (body && !answer.malformed) answer.may_end = body->may_end_here();
  if (answer.complete) answer.unread = bytes.size() - from;
  return answer;
}

void connect(std::string_view bytes) {
  std::optional<int> status;
  for (std::size_t to = 0; to <= bytes.size(); ++to) {
    const auto answer = http1::read_connect_answer(bytes.substr(0, to));
    if (!answer) {
      hold(!status || *status < 300, "a refusal stays one, whatever its body");
      return;
    }
    hold(!status || (*answer == status && *status >= 300), "nothing is said in a tunnel at once");
    status = *answer;
    hold(status.value_or(200) >= 200 && status.value_or(200) <= 999, "a status is a final one");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = fuzz::parts(fuzz::text(data, size), 2);
  if (input[0] == "CONNECT") {
    connect(input[1]);
    return 0;
  }
  const Answer whole = read(input[0], input[1], size + 1);
  for (const std::size_t step : {1, 2, 3, 7, 64}) {
    const Answer cut = read(input[0], input[1], step);
    hold(cut.malformed == whole.malformed, "an answer is good or bad however it is cut");
    if (!whole.malformed) hold(cut == whole, "an answer means the same however it is cut");
  }
  hold(whole.body.size() <= input[1].size(), "nothing is there that was not sent");
  if (input[0] == "HEAD") hold(whole.body.empty(), "an answer to HEAD has no body");
  return 0;
}
