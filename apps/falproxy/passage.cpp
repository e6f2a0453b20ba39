#include "passage.hpp"

#include <charconv>
#include <utility>

#include "base/text.hpp"
#include "serving/reactor.hpp"

namespace falproxy::app {

using serving::Request;
using serving::Response;

namespace {

constexpr std::size_t longest_line = 1u << 20;

// Takes those of `text`, each as it becomes. One that is too long stays as it is.
std::string take_lines(std::string& text, const Passage::Rewrite& rewrite) {
  std::string lines;
  std::size_t from = 0;
  for (std::size_t end; (end = text.find('\n', from)) != std::string::npos; from = end + 1)
    lines.append(rewrite(std::string_view(text).substr(from, end - from))).append("\n");
  text.erase(0, from);
  if (text.size() > longest_line) lines += std::exchange(text, std::string());
  return lines;
}

}  // namespace

Error Passage::nothing_sent() {
  return {.kind = ErrorKind::overloaded, .message = "The server has no room left."};
}

void Passage::tell_end(const Result<Forwarded>& how) noexcept {
  if (std::exchange(end_told_, true) || !watch_.end) return;
  serving::safely([&] { watch_.end(how); });
}

bool Passage::begin(const std::shared_ptr<Passage>& passage, Call& call, ForwardedRequest request,
                    CallContext context) {
  Runner& runner = call.door.parts().runner;
  const auto sent = std::make_shared<ForwardedRequest>(std::move(request));
  const bool runs = call.request.run_beside([passage, sent, &runner, context = std::move(context)] {
    Result<Forwarded> how = Error{.kind = ErrorKind::internal, .message = "falproxy failed."};
    how.error().submitted = true;
    try {
      how = runner.forward(*sent, context, *passage);
    } catch (...) {  // no memory: the client sees that the answer ends too early
    }
    passage->tell_end(how);
    passage->pipe_.end(how ? Result<Done>(Done{}) : Result<Done>(how.error()));
  });
  if (!runs) passage->tell_end(nothing_sent());
  return runs;
}

bool Passage::head(HttpHead head) {
  if (watch_.head) watch_.head(head);
  head_ = std::move(head);
  pipe_.begin();
  return true;
}

bool Passage::data(std::string_view bytes) {
  if (watch_.data) watch_.data(bytes);
  return pipe_.push(bytes, stop_);
}

Result<HttpHead> Passage::head() {
  pipe_.wait_to_begin();
  if (head_.has_value()) return *head_;
  const Result<Done> how = pipe_.ending();
  if (!how) return how.error();
  return Error{.kind = ErrorKind::upstream_failed, .message = "fal's answer is empty."};
}

Result<std::string> Passage::whole(std::size_t most) {
  std::string text;
  for (std::string bytes = pipe_.take(); !bytes.empty(); bytes = pipe_.take()) {
    if (bytes.size() > most - text.size()) {
      pipe_.close();
      Error too_long{.kind = ErrorKind::upstream_failed, .message = "fal's answer is too long."};
      too_long.submitted = true;
      return too_long;
    }
    text += bytes;
  }
  if (const Result<Done> how = pipe_.ending(); !how) return how.error();
  return text;
}

bool Passage::write_to(Request& out, const Rewrite& rewrite) {
  bool goes_on = out.write({});  // the head does not wait for the first byte
  std::string begun;             // the line that is not whole yet
  for (std::string bytes = goes_on ? pipe_.take() : std::string(); !bytes.empty();
       bytes = pipe_.take()) {
    if (rewrite) bytes = take_lines(begun += bytes, rewrite);
    goes_on = bytes.empty() || out.write(Body(std::move(bytes)));
    if (!goes_on) break;
  }
  if (goes_on && !begun.empty()) goes_on = out.write(Body(rewrite(begun)));
  pipe_.close();
  if (!goes_on) return false;
  if (pipe_.ending()) return true;
  out.cut();
  return false;
}

Response passed_head(const HttpHead& head) {
  Response response{.status = head.status,
                    .content_type = std::string(head.headers.find("content-type").value_or(""))};
  for (const auto& [name, value] : head.headers) {
    const std::string lower = to_lower(name);
    if (lower.starts_with("x-fal-") || lower == "retry-after")
      append_safe_field(response.fields, lower, value);
    if (lower != "content-length") continue;
    std::uint64_t length = 0;
    const auto [end, fault] = std::from_chars(value.data(), value.data() + value.size(), length);
    if (fault == std::errc() && end == value.data() + value.size()) response.length = length;
  }
  return response;
}

}  // namespace falproxy::app
