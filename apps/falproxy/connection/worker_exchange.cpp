#include "connection/worker_exchange.hpp"

#include <algorithm>
#include <ctime>
#include <utility>

#include "base/text.hpp"
#include "connection/http_engine.hpp"
#include "connection/http_text.hpp"
#include "connection/httplib.hpp"

namespace falproxy::app {
namespace {

// Bodies up to this size go out in one write with their head.
constexpr std::size_t small_body = 16u << 10;
// What is written at once of a large one: httplib copies each chunk of a chunked answer twice.
constexpr std::size_t slice = 64u << 10;

// The boundary of a multipart body; empty: it has none. httplib's own reading of it ends at an '='
// inside it, and knows no `Boundary`.
std::string boundary_of(const RequestHead& head) {
  const std::string_view type = head.find("content-type").value_or("");
  std::string boundary;
  for_each_part(type.substr(std::min(type.find(';'), type.size())), ';',
                [&](std::string_view parameter) {
                  constexpr std::string_view name = "boundary=";
                  parameter = trim(parameter);
                  if (!equal_ignoring_case(parameter.substr(0, name.size()), name)) return;
                  std::string_view value = trim(parameter.substr(name.size()));
                  if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
                    value = value.substr(1, value.size() - 2);
                  boundary = value;
                });
  return boundary;
}

// Of a text that was found good before.
RequestHead read_head(std::string_view text) {
  RequestHead head;
  static_cast<void>(parse_head(text, head));
  return head;
}

// httplib is given only what it needs of the head: how the body is framed.
std::string head_for_httplib(const RequestHead& head) {
  std::string text;
  const bool post = head.method == "POST";
  text.append(head.method).append(" /request HTTP/1.1\r\n");
  if (post) {
    if (head.chunked) {
      append_field(text, "Transfer-Encoding", "chunked");
    } else {
      append_field(text, "Content-Length", std::to_string(head.content_length.value_or(0)));
    }
    if (head.expects_continue && head.minor_version == 1)
      append_field(text, "Expect", "100-continue");
  }
  return text.append("\r\n");
}

class SinkStream final : public AnswerStream {
 public:
  explicit SinkStream(httplib::DataSink& sink) noexcept : sink_(sink) {}
  bool write(std::string_view bytes) override {
    while (!bytes.empty()) {
      const std::string_view part = bytes.substr(0, slice);
      if (!sink_.write(part.data(), part.size())) return false;
      bytes.remove_prefix(part.size());
    }
    return true;
  }

 private:
  httplib::DataSink& sink_;
};

// The piece of `body` that holds `offset`, from there on.
std::string_view piece_at(const Body& body, std::size_t offset) noexcept {
  for (const Piece& piece : body.pieces()) {
    if (offset < piece.bytes.size()) return piece.bytes.substr(offset);
    offset -= piece.bytes.size();
  }
  return {};
}

httplib::ContentProviderWithoutLength provider(std::function<void(AnswerStream&)> write) {
  return [write = std::move(write)](std::size_t, httplib::DataSink& sink) {
    SinkStream stream(sink);
    write(stream);
    sink.done();
    return true;
  };
}

}  // namespace

bool AnswerStream::write(const Body& body) {
  return std::ranges::all_of(body.pieces(),
                             [this](const Piece& piece) { return write(piece.bytes); });
}

WorkerExchange::WorkerExchange(Connection& connection, std::string_view head_text,
                               std::unique_ptr<Task> task, const std::atomic<bool>& draining,
                               Milliseconds grace)
    : connection_(connection),
      head_text_(head_text),
      head_(read_head(head_text_)),
      draining_(draining),
      began_(std::chrono::steady_clock::now()),
      task_(std::move(task)),
      stream_(connection, head_for_httplib(head_), head_.chunked, grace) {}

void WorkerExchange::hold_when_client_leaves(Milliseconds hold) {
  const std::lock_guard lock(connection_.exchange_mutex);
  hold_ = hold;
}

Result<Done> WorkerExchange::read_body(std::size_t max_bytes,
                                       const std::function<bool(std::string_view)>& receiver) {
  if (reader_ == nullptr) return Done{};
  std::size_t total = 0;
  bool too_large = false;
  bool refused = false;
  body_read_ = (*reader_)([&](const char* data, std::size_t size) {
    total += size;
    too_large = total > max_bytes;
    refused = !too_large && !receiver({data, size});
    return !too_large && !refused;
  });
  return body_read_ ? Done{} : body_fault(too_large, refused);
}

Result<Done> WorkerExchange::read_form(std::size_t max_bytes,
                                       const std::function<bool(FormPartHead)>& part,
                                       const std::function<bool(std::string_view)>& receiver) {
  if (reader_ == nullptr) return Done{};
  std::size_t total = 0;
  bool too_large = false;
  bool refused = false;
  const auto begin_part = [&](const httplib::FormData& data) {
    refused = !part({data.name, data.filename, data.content_type});
    return !refused;
  };
  const auto receive = [&](const char* data, std::size_t size) {
    total += size;
    too_large = total > max_bytes;
    refused = !too_large && !receiver({data, size});
    return !too_large && !refused;
  };
  std::string boundary = boundary_of(head_);
  if (boundary.empty()) {
    stream_.refuse_reads();
    return Error{.kind = ErrorKind::bad_request_framing,
                 .message = "The Content-Type of a multipart body must name its boundary."};
  }
  httplib::detail::FormDataParser parser;
  parser.set_boundary(std::move(boundary));
  const bool read = (*reader_)([&](const char* data, std::size_t size) {
    return parser.parse(data, size, begin_part, receive);
  });
  body_read_ = read && parser.is_valid();
  return body_read_ ? Done{} : body_fault(too_large, refused);
}

Result<Done> WorkerExchange::body_fault(bool too_large, bool refused) {
  using Fault = ExchangeStream::Fault;
  const Fault fault = stream_.read_fault();
  stream_.refuse_reads();
  if (too_large)
    return Error{.kind = ErrorKind::body_too_large, .message = "The request's body is too large."};
  if (refused)
    return Error{.kind = ErrorKind::internal, .message = "The request's body was not taken."};
  if (fault == Fault::slow) {
    return Error{.kind = ErrorKind::request_too_slow,
                 .message = "The request's body did not arrive in time."};
  }
  if (fault == Fault::ended) {
    return Error{.kind = ErrorKind::bad_request_framing,
                 .message = "The request ends before its body is complete."};
  }
  if (fault == Fault::gone) {
    connection_.client_left = true;  // the loop may not have heard of it yet
    return Error{.kind = ErrorKind::cancelled,
                 .message = "The client left before the request's body was complete."};
  }
  return Error{
      .kind = ErrorKind::bad_request_framing,
      .message =
          "The request's body cannot be read: its chunks or its multipart boundaries are broken."};
}

void WorkerExchange::start_ticking(Milliseconds interval, std::function<void()> tick) {
  const std::lock_guard lock(connection_.exchange_mutex);
  tick_ = std::move(tick);
  tick_interval_ = interval;
  next_tick_ = std::chrono::steady_clock::now() + interval;
}

void WorkerExchange::stop_ticking() {
  const std::lock_guard lock(connection_.exchange_mutex);
  tick_ = nullptr;
  next_tick_ = TimePoint::max();
}

void WorkerExchange::tick_if_due(TimePoint now) {
  if (now < next_tick_) return;
  next_tick_ = now + tick_interval_;
  tick_();
}

void WorkerExchange::begin_early(std::string_view content_type, std::string_view fields) {
  if (stream_.began_early()) return;
  std::string head;
  append_status_line(head, 200);
  append_date(head, std::time(nullptr));
  append_field(head, "Content-Type", content_type);
  if (has_chunks()) append_field(head, "Transfer-Encoding", "chunked");
  head.append(fields);
  if (closes() || !has_chunks()) append_field(head, "Connection", "close");
  stream_.begin_early(head.append("\r\n"));
}

void WorkerExchange::write_early(std::string_view bytes) {
  stream_.write_early(has_chunks() ? chunk(bytes) : std::string(bytes));
}

void WorkerExchange::interject(std::string_view bytes) {
  stream_.interject(has_chunks() ? chunk(bytes) : std::string(bytes));
}

// No tick comes after it, also where the task throws: httplib then answers.
Answer WorkerExchange::serve_task() {
  struct Ticking {
    WorkerExchange& of;
    ~Ticking() { of.stop_ticking(); }
  };
  const Ticking ticking{*this};
  return task_->serve(*this);
}

void WorkerExchange::run(httplib::Response& response, const httplib::ContentReader* reader) {
  has_run_ = true;
  reader_ = reader;
  Answer answer = serve_task();
  reader_ = nullptr;
  // What nobody read stands between this request and the next one.
  if (head_.has_body() && reader != nullptr && !body_read_) stream_.refuse_reads();
  send(std::move(answer), response);
}

void WorkerExchange::send(Answer answer, httplib::Response& response) {
  response.status = answer.status;
  if (stream_.began_early() && !answer.stream) {
    answer.stream = [body = std::move(answer.body)](AnswerStream& stream) { stream.write(body); };
  }
  if (answer.stream) {
    auto write = provider(std::move(answer.stream));
    if (has_chunks()) {
      response.set_chunked_content_provider(answer.content_type, std::move(write));
    } else {
      closes_ = true;
      response.set_content_provider(answer.content_type, std::move(write));
    }
  } else if (answer.body.size() <= small_body) {
    response.set_content(answer.body.str(), answer.content_type);
  } else {
    const std::size_t size = answer.body.size();
    response.set_content_provider(
        size, answer.content_type,
        [body = std::move(answer.body)](std::size_t offset, std::size_t, httplib::DataSink& sink) {
          const std::string_view bytes = piece_at(body, offset);
          return sink.write(bytes.data(), bytes.size());
        });
  }
  if (closes()) {
    append_field(answer.fields, "Connection", "close");
  } else if (head_.minor_version == 0) {
    append_field(answer.fields, "Connection", "keep-alive");
  }
  response.headers.emplace(own_fields, std::move(answer.fields));
}

}  // namespace falproxy::app
