// wish_call.hpp: what all requests have in common that make something: from the limits on their
// body to the line of the log. One class for each surface derives from it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "answers.hpp"
#include "chat_models.hpp"
#include "door.hpp"
#include "falproxy/chat_router.hpp"
#include "falproxy/json.hpp"
#include "falproxy/memory_budget.hpp"
#include "falproxy/openai.hpp"
#include "falproxy/runner.hpp"
#include "falproxy/vocabulary.hpp"
#include "later.hpp"
#include "log.hpp"

namespace falproxy::app {

/// Of streams of events, which nobody on the way is to keep.
inline constexpr const char* event_fields = "Cache-Control: no-store\r\nX-Accel-Buffering: no\r\n";

/// How long a request goes on after its client has left: SDKs repeat it 0.4 to 0.9 s after its
/// connection was lost, proxies and programs with loops of their own within a few seconds.
inline constexpr Milliseconds repeat_hold{5000};

/// What the body of a request may be.
enum class BodyKind { json, form, json_or_form };

[[nodiscard]] bool is_form(const Call& call);
/// What can be told to be wrong with a request before its body is read.
[[nodiscard]] std::optional<Error> fault_of_body(const Call& call, BodyKind takes);

/// What a JSON text becomes at most once it is parsed: each value a node, as many as the limit on
/// values lets through, and another one in the request, while both are there.
[[nodiscard]] std::size_t parsed_size(std::size_t text, const JsonLimits& limits);

/// One request that was let in. Lives until its answer is out.
class WishCall {
 public:
  WishCall(Call& call, Medium makes, Door::Admission admission, bool dry_run);
  WishCall(const WishCall&) = delete;
  WishCall& operator=(const WishCall&) = delete;
  /// A stream that something was thrown in the middle of is told, too.
  virtual ~WishCall();
  virtual serving::Response answer() = 0;

 private:
  Result<Wish> read_json(Intent intent);
  Result<Wish> read_form(Intent intent);
  [[nodiscard]] std::string where_kept() const;
  // All of its files; if kept files are public, nothing changes.
  void open_kept(Wish& wish) const;

 protected:
  /// The body as openai::parse_json() or parse_form() reads it.
  [[nodiscard]] Result<Wish> read_wish(Intent intent);
  /// The address may name the model, as Azure's clients write it, and then decides.
  void name_model(Wish& wish) const;
  void name_model(std::vector<openai::FormPart>& parts) const;
  [[nodiscard]] Result<std::string> with_named_model(std::string body) const;
  /// Does that, too. Errors: invalid_value, of the name of a chat model.
  [[nodiscard]] std::optional<Error> settle_model(Wish& wish) const;
  /// X-Falproxy-Callback came with a request that waits for its answer.
  [[nodiscard]] std::optional<Error> fault_of_callback() const;
  /// The parts of a form, counted as the whole body is.
  [[nodiscard]] Result<std::vector<openai::FormPart>> read_parts(openai::FormGatherer::Files files);
  /// Begins a run that outlives the request; see begin_later() and to_details(). What is not begun
  /// is not told yet.
  [[nodiscard]] std::variant<Begun, Outcome> begin(Wish wish, std::string surface,
                                                   const std::string& remixed = {});
  /// Begins it, and answers with an address at which it can be asked for.
  serving::Response begin_job(Wish wish, std::string surface);
  /// How a run that has begun stands. Errors: those of Runner::find(); run_not_found.
  [[nodiscard]] Result<RunStatus> status_of(const Begun& begun);
  /// The answer to a request whose run has begun.
  serving::Response begun_answer(const Begun& begun, int status, Body body);
  /// The whole body, counted; memory_ has room for what it becomes once it is parsed.
  [[nodiscard]] Result<std::string> read_text();
  /// Hands the request on to fal's router for chat models; see pass_to_router(). `instead`: answers
  /// if it cannot be handed on.
  serving::Response pass_on(Call& call, std::string text, const ChatModel& model,
                            const std::optional<router::NamedModel>& named,
                            std::string_view operation,
                            const std::function<serving::Response()>& instead = {});
  /// Of the name of no model that there is: model_not_found, deployment_not_found.
  [[nodiscard]] std::optional<Error> fault_of_name(const std::string& model) const;
  serving::Response explain(const Wish& wish);
  serving::Response failure(Error error);
  /// In the words of the surface, whose fields may have other names.
  [[nodiscard]] virtual Error worded(Error error) const { return error; }

  [[nodiscard]] CallContext context();
  /// Whom the client asks for goes into the record, for reports; and what it asks for is
  /// remembered, if prompts are kept.
  void note_user(const Wish& wish);
  /// Of each wish that was read, before it is run. An answer: it was only to be explained.
  [[nodiscard]] std::optional<serving::Response> take_up(Wish& wish);
  /// fal sends no key when it opens a file: in place of one that is kept here it gets its own, if
  /// the client may have it.
  void open_kept(InputFile& file) const;
  /// Before an answer with addresses: they become those of kept files, if files are kept.
  void keep(std::vector<Product>& products);
  /// Of the answer, once the jobs have ended.
  [[nodiscard]] Facts facts() const;
  /// What the client is told of a request that was stopped though the client is there: the server
  /// stops.
  [[nodiscard]] Error explained(Error error) const;
  void done(int status, const Error* error);
  [[nodiscard]] std::string_view field(std::string_view name) const {
    return request_.head().find(name).value_or("");
  }
  /// Of the body, as far as its head says.
  [[nodiscard]] std::size_t expected_bytes() const;

  Door& door_;
  const Door::Parts& parts_;
  serving::Request& request_;
  const std::shared_ptr<const Rules> rules_;
  const Medium makes_;
  Door::Admission admission_;
  const bool dry_run_;
  const bool is_form_;
  const std::size_t most_bytes_;
  const std::shared_ptr<MemoryShare> memory_;  ///< may outlive it
  const Result<std::optional<Callback>> callback_;
  const std::string kept_files_ = where_kept();  ///< their addresses begin so; empty: none are kept
  RequestRecord record_;
  std::optional<std::string> prompt_;  ///< if prompts are kept
  bool streams_ = false;               ///< and has not been told yet
  /// Clients of this API send again whatever is not answered with 400 to 407.
  bool repeats_are_dear_ = false;
  /// Its answer, and its failures, keep the status that they have at fal.
  bool passes_on_ = false;
};

/// Checks what the head tells, lets the request in and answers it; `make(admission, dry_run)` gives
/// its WishCall.
template <class Make>
serving::Response answer_wish(Call& call, BodyKind takes, Make&& make) {
  if (const auto fault = fault_of_body(call, takes)) {
    serving::Response response = call.fail(*fault);
    if (response.status == 415) serving::append_field(response.fields, "Accept-Encoding", "gzip");
    return response;
  }
  const bool dry_run = call.field("x-falproxy-explain") == "1";
  Result<Door::Admission> admission = call.door.admit(call, !dry_run);
  if (!admission) return call.fail(admission.error());
  call.told = true;
  const std::shared_ptr<WishCall> wish = make(std::move(admission).value(), dry_run);
  call.request.kept = wish;
  return wish->answer();
}

}  // namespace falproxy::app
