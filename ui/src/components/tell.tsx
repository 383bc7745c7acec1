import { notifications } from '@mantine/notifications';
import { ApiError } from '../api/errors';

/** Say in a corner that something worked. */
export function tell(message: string) {
  notifications.show({
    message,
    color: 'teal',
    autoClose: 3000,
    closeButtonProps: { 'aria-label': 'Dismiss' },
  });
}

/** Say in a corner what failed, with the request's id. It stays until it is read. */
export function tellError(cause: unknown, title: string) {
  const message = cause instanceof Error ? cause.message : String(cause);
  const requestId = cause instanceof ApiError ? cause.requestId : null;
  notifications.show({
    title,
    message: requestId ? `${message} (request ${requestId})` : message,
    color: 'red',
    closeButtonProps: { 'aria-label': 'Dismiss' },
    autoClose: false,
  });
}
