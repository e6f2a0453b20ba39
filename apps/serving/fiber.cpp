#include "serving/fiber.hpp"

#include <cxxabi.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <utility>

#if defined(FALPROXY_ADDRESS_SANITIZER)
#include <sanitizer/common_interface_defs.h>
#elif defined(FALPROXY_THREAD_SANITIZER)
#include <sanitizer/tsan_interface.h>
#endif

namespace falproxy::serving {
namespace {

// Their frames are several times as large.
#if defined(FALPROXY_ADDRESS_SANITIZER) || defined(FALPROXY_THREAD_SANITIZER)
constexpr std::size_t stack_factor = 8;
#elif !defined(__OPTIMIZE__)
constexpr std::size_t stack_factor = 4;
#else
constexpr std::size_t stack_factor = 1;
#endif

std::size_t page_bytes() {
  static const auto bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

}  // namespace

FiberContext::FiberContext() {
#if defined(FALPROXY_THREAD_SANITIZER)
  sanitized_ = __tsan_get_current_fiber();
#endif
}

std::unique_ptr<FiberContext> FiberContext::create(std::size_t stack_bytes,
                                                   std::function<void()> body) {
  const std::size_t page = page_bytes();
  const std::size_t bytes = page + (stack_bytes * stack_factor + page - 1) / page * page;
  void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  if (::mprotect(memory, page, PROT_NONE) != 0) {
    ::munmap(memory, bytes);
    return nullptr;
  }
  return std::unique_ptr<FiberContext>(new FiberContext(memory, bytes, std::move(body)));
}

FiberContext::FiberContext(void* memory, std::size_t bytes, std::function<void()> body)
    : body_(std::move(body)), memory_(memory), bytes_(bytes) {
  const std::size_t page = page_bytes();
  stack_bottom_ = static_cast<char*>(memory) + page;
  stack_bytes_ = bytes - page;
  ::getcontext(&context_);
  context_.uc_stack.ss_sp = static_cast<char*>(memory) + page;
  context_.uc_stack.ss_size = stack_bytes_;
  context_.uc_link = nullptr;
  // makecontext() hands on numbers only.
  const auto self = reinterpret_cast<std::uintptr_t>(this);
  ::makecontext(&context_, reinterpret_cast<void (*)()>(&FiberContext::enter), 2,
                static_cast<unsigned>(std::uint64_t{self} >> 32), static_cast<unsigned>(self));
#if defined(FALPROXY_THREAD_SANITIZER)
  sanitized_ = __tsan_create_fiber(0);
#endif
}

FiberContext::~FiberContext() {
  if (memory_ == nullptr) return;
#if defined(FALPROXY_THREAD_SANITIZER)
  __tsan_destroy_fiber(sanitized_);
#endif
  ::munmap(memory_, bytes_);
}

void FiberContext::enter(unsigned high, unsigned low) noexcept {
  auto* const self =
      std::bit_cast<FiberContext*>(static_cast<std::uintptr_t>((std::uint64_t{high} << 32) | low));
  self->arrived();
  self->body_();
}

void FiberContext::switch_to(FiberContext& other) {
  other.left_ = this;
#if defined(FALPROXY_ADDRESS_SANITIZER)
  __sanitizer_start_switch_fiber(&sanitized_, other.stack_bottom_, other.stack_bytes_);
#elif defined(FALPROXY_THREAD_SANITIZER)
  __tsan_switch_to_fiber(other.sanitized_, 0);
#endif
  // A fiber that waits inside a catch block must find its own exception there again.
  abi::__cxa_eh_globals* const globals = abi::__cxa_get_globals();
  std::memcpy(static_cast<void*>(&exceptions_), globals, sizeof exceptions_);
  std::memcpy(globals, &other.exceptions_, sizeof exceptions_);
  ::swapcontext(&context_, &other.context_);
  arrived();
}

// The switch is complete: where it came from is now known, which is how the bounds of a thread's
// own stack are learnt.
void FiberContext::arrived() {
#if defined(FALPROXY_ADDRESS_SANITIZER)
  __sanitizer_finish_switch_fiber(sanitized_, &left_->stack_bottom_, &left_->stack_bytes_);
#endif
}

}  // namespace falproxy::serving
