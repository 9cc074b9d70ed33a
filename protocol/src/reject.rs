//! Why a command is refused. The order inside a group is precedence; numbers are never reused.

use crate::RejectCode;
use std::fmt;

macro_rules! reasons {
    ($( $name:ident = $code:literal $screaming:literal $text:literal ),* $(,)?) => {
        /// A reject reason, printed as `R` and its number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum RejectReason { $( #[doc = $text] $name = $code ),* }

        impl RejectReason {
            /// Every reason, in order.
            pub const ALL: &'static [RejectReason] = &[ $( RejectReason::$name ),* ];
            /// Its number.
            pub const fn code(self) -> RejectCode { RejectCode(match self { $( RejectReason::$name => $code ),* }) }
            /// The reason with this number.
            pub const fn from_code(code: RejectCode) -> Option<RejectReason> {
                match code.0 { $( $code => Some(RejectReason::$name), )* _ => None }
            }
            /// Its name in the field's manner.
            pub const fn name(self) -> &'static str { match self { $( RejectReason::$name => $screaming ),* } }
            /// What it means, in a sentence that a client can act on.
            pub const fn text(self) -> &'static str { match self { $( RejectReason::$name => $text ),* } }
        }
    };
}

reasons! {
    NotAuthenticated = 101 "NOT_AUTHENTICATED" "The certificate is not that of a participant, or it was revoked.",
    SessionNotEstablished = 102 "SESSION_NOT_ESTABLISHED" "The session is not up: establish it first.",
    Throttled = 105 "THROTTLED" "More requests than the session may send: slow down and send it again under a new number.",
    Malformed = 106 "MALFORMED" "The frame is no valid message, or holds a field that the exchange fills in.",
    SchemaVersion = 107 "SCHEMA_VERSION" "The schema or its version is not spoken here.",
    UnsupportedMessage = 108 "UNSUPPORTED_MESSAGE" "No command has this template id.",
    StaleRequest = 109 "STALE_REQUEST" "The request number was used before, and its outcome is told no more: older than the session's window, or archived.",
    EarlyDataForbidden = 110 "EARLY_DATA_FORBIDDEN" "Data sent before the handshake ended is not accepted.",
    EngineBusy = 111 "ENGINE_BUSY" "The exchange's ring is full: send it again under a new number.",
    NotLeader = 112 "NOT_LEADER" "This exchange does not lead.",
    Quarantined = 113 "QUARANTINED" "The command was set aside by two operators.",
    SessionAhead = 114 "SESSION_AHEAD" "The client has seen more of this session than the exchange has told: another history.",
    NotAuthorised = 201 "NOT_AUTHORISED" "The participant's role or account does not allow this.",
    UnknownParticipant = 202 "UNKNOWN_PARTICIPANT" "No participant has this number.",
    ParticipantSuspended = 203 "PARTICIPANT_SUSPENDED" "The participant is suspended.",
    KycLevel = 204 "KYC_LEVEL" "The participant's identification does not suffice.",
    UnknownAccount = 205 "UNKNOWN_ACCOUNT" "No account has this number.",
    AccountClosed = 206 "ACCOUNT_CLOSED" "The account is closed.",
    AccountFrozen = 207 "ACCOUNT_FROZEN" "The account is frozen.",
    KillSwitch = 208 "KILL_SWITCH" "A kill switch is thrown for the participant or the series.",
    FourEyesRequired = 209 "FOUR_EYES_REQUIRED" "The approval repeats another hash than the proposal's, or the proposal is unknown or expired.",
    SameApprover = 210 "SAME_APPROVER" "The proposer cannot approve its own proposal.",
    Jurisdiction = 211 "JURISDICTION" "Not allowed where the participant is.",
    UnknownSeries = 301 "UNKNOWN_SERIES" "No series has this number.",
    SeriesState = 302 "SERIES_STATE" "The series' state does not allow this.",
    Phase = 303 "PHASE" "The market is closed.",
    Halted = 304 "HALTED" "The market is halted: only cancels are accepted.",
    SeriesExpired = 305 "SERIES_EXPIRED" "The series has expired.",
    Tick = 306 "TICK" "The price is not a multiple of the tick.",
    Lot = 307 "LOT" "The quantity is not a multiple of the lot.",
    QtyMin = 308 "QTY_MIN" "The quantity is below the smallest allowed.",
    QtyMax = 309 "QTY_MAX" "The quantity is above the largest allowed.",
    CollarStatic = 310 "COLLAR_STATIC" "The price is outside the static collar.",
    CollarDynamic = 311 "COLLAR_DYNAMIC" "The price is outside the dynamic collar.",
    Tif = 312 "TIF" "The time in force does not go with this order.",
    OrdType = 313 "ORD_TYPE" "The order type does not go with this price or execution.",
    ExpireTime = 314 "EXPIRE_TIME" "The expire time is missing, past or not wanted.",
    MinHoldPeriod = 315 "MIN_HOLD_PERIOD" "The units have not been held long enough.",
    MaxHolders = 316 "MAX_HOLDERS" "The series has as many holders as it may have.",
    MatchMode = 317 "MATCH_MODE" "The series does not trade in this way.",
    PriceBounds = 318 "PRICE_BOUNDS" "The price must lie between the tick and the face value.",
    DupClOrdId = 401 "DUP_CL_ORD_ID" "A live order of the account has this client order id, or the id is all zero.",
    UnknownOrder = 402 "UNKNOWN_ORDER" "The account has no live order of this id.",
    TooLate = 403 "TOO_LATE" "The order is already being cancelled.",
    WouldTake = 404 "WOULD_TAKE" "A post-only order would trade at once.",
    FokUnfillable = 405 "FOK_UNFILLABLE" "A fill-or-kill order cannot be filled whole.",
    MinQtyUnfillable = 406 "MIN_QTY_UNFILLABLE" "The minimum quantity cannot be filled.",
    SelfTrade = 407 "SELF_TRADE" "The order would trade with an order of its own participant.",
    ReplaceInvalid = 408 "REPLACE_INVALID" "The new total quantity is not above what has been filled, or nothing would change.",
    MaxOpenOrders = 409 "MAX_OPEN_ORDERS" "The account has as many open orders as it may have.",
    Capacity = 410 "CAPACITY" "A table of the exchange is full.",
    MmpActive = 411 "MMP_ACTIVE" "Market-maker protection is active.",
    StopPrice = 412 "STOP_PRICE" "The stop price does not go with this order.",
    NotOwner = 413 "NOT_OWNER" "The order is another account's.",
    TradeNotBustable = 414 "TRADE_NOT_BUSTABLE" "The trade cannot be undone.",
    InsufficientCash = 501 "INSUFFICIENT_CASH" "The account's available cash does not cover the order and its fee.",
    InsufficientUnits = 502 "INSUFFICIENT_UNITS" "The account's available units do not cover this.",
    OrderNotional = 503 "ORDER_NOTIONAL" "The order's price × quantity is above the account's limit.",
    OpenNotional = 504 "OPEN_NOTIONAL" "The account's open orders together would be above its limit.",
    Position = 505 "POSITION" "The position would be above the account's limit.",
    DailyLimit = 506 "DAILY_LIMIT" "The account's daily limit is used up.",
    StockCap = 507 "STOCK_CAP" "The venue profile's cap on stock is reached.",
    FlowCap = 508 "FLOW_CAP" "The venue profile's cap on flow is reached.",
    UnitsUnsettled = 509 "UNITS_UNSETTLED" "The units are not settled yet.",
    Overflow = 510 "OVERFLOW" "An amount would be larger than the exchange can hold.",
    Unbalanced = 511 "UNBALANCED" "The postings do not balance.",
    EscrowShortfall = 601 "ESCROW_SHORTFALL" "The series' escrow does not cover what would be outstanding.",
    Quota = 602 "QUOTA" "More units than the series may issue.",
    Coverage = 603 "COVERAGE" "The coverage ratio would be too low.",
    Terms = 604 "TERMS" "The series' terms contradict each other.",
    FaceLimit = 605 "FACE_LIMIT" "The face value is not allowed.",
    ValidityPeriod = 606 "VALIDITY_PERIOD" "The validity period is empty or past.",
    OfferingState = 607 "OFFERING_STATE" "The offering's state does not allow this.",
    SubscriptionLimit = 608 "SUBSCRIPTION_LIMIT" "The subscription is above the limit.",
    OutstandingUnits = 609 "OUTSTANDING_UNITS" "Units are outstanding.",
    SeedMismatch = 610 "SEED_MISMATCH" "The seed is not the one committed to.",
    RealnameRequired = 611 "REALNAME_REQUIRED" "Only identified holders may have this series.",
    FundingChannel = 612 "FUNDING_CHANNEL" "The funding channel is not allowed.",
    SigWallet = 701 "SIG_WALLET" "The wallet's signature is not valid.",
    SigMerchant = 702 "SIG_MERCHANT" "The merchant's signature is not valid.",
    NonceReused = 703 "NONCE_REUSED" "The nonce was used before.",
    AlreadyRedeemed = 704 "ALREADY_REDEEMED" "Already redeemed.",
    LockExpired = 705 "LOCK_EXPIRED" "The lock has expired.",
    MerchantNotAccepted = 706 "MERCHANT_NOT_ACCEPTED" "The series is not redeemed at this merchant.",
    UsageRule = 707 "USAGE_RULE" "A usage rule forbids this.",
    NotYetValid = 708 "NOT_YET_VALID" "The series is not valid yet.",
    LockUnknown = 709 "LOCK_UNKNOWN" "No lock has this number.",
    Amount = 710 "AMOUNT" "The amount is zero or not allowed.",
    ReversalWindow = 711 "REVERSAL_WINDOW" "Too late to reverse.",
    RedeemLimit = 712 "REDEEM_LIMIT" "The redemption limit is reached.",
    DupBankRef = 801 "DUP_BANK_REF" "The bank's reference was used before, is empty, or its value date is too old to tell.",
    PayoutUnknown = 802 "PAYOUT_UNKNOWN" "No payout has this number.",
    PayoutState = 803 "PAYOUT_STATE" "The payout's state does not allow this.",
    BankSuspended = 804 "BANK_SUSPENDED" "The bank is suspended.",
    FreezeExists = 901 "FREEZE_EXISTS" "The account is frozen already, or its freeze is being lifted.",
    FreezeUnknown = 902 "FREEZE_UNKNOWN" "The account is not frozen under this case.",
    ManualReview = 903 "MANUAL_REVIEW" "Held for review.",
    AmlBlock = 904 "AML_BLOCK" "Blocked by anti-money-laundering rules.",
}

impl RejectReason {
    /// Says whether it is refused at the door, never journaled.
    pub const fn is_door(self) -> bool {
        let code = self.code().0;
        code < 200 && !matches!(self, RejectReason::StaleRequest | RejectReason::Quarantined)
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "R{} {}", self.code().0, self.name())
    }
}

impl fmt::Display for crate::Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match RejectReason::from_code(self.code) {
            Some(reason) => write!(f, "{reason}"),
            None => write!(f, "R{}", self.code.0),
        }
    }
}
