import { Button, Group, Modal, Stack, Text } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { ErrorNotice } from './ErrorNotice';

interface ConfirmDialogProps {
  title: string;
  /** What will happen, and what cannot be undone. */
  children: ReactNode;
  /** The verb of the button. */
  confirm: string;
  opened: boolean;
  onClose: () => void;
  onConfirm: () => Promise<unknown>;
  /** Something has to be said first. */
  disabled?: boolean;
}

/** Ask before something that is not easily undone. */
export function ConfirmDialog({ title, children, confirm, opened, onClose, ...rest }: ConfirmDialogProps) {
  const act = useMutation({
    mutationFn: rest.onConfirm,
    onSuccess: () => onClose(),
  });
  const close = () => {
    act.reset();
    onClose();
  };
  return (
    <Modal opened={opened} onClose={close} title={title}>
      <Stack>
        <Text size="sm" component="div" style={{ overflowWrap: 'anywhere' }}>
          {children}
        </Text>
        {act.error && <ErrorNotice error={act.error} />}
        <Group justify="flex-end">
          <Button variant="default" onClick={close} data-autofocus>
            Cancel
          </Button>
          <Button color="red" loading={act.isPending} disabled={rest.disabled} onClick={() => act.mutate()}>
            {confirm}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
