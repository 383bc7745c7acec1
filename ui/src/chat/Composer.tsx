import { ActionIcon, CloseButton, FileButton, Group, Text, Textarea, Tooltip } from '@mantine/core';
import { IconArrowUp, IconPhotoPlus, IconPlayerStopFilled } from '@tabler/icons-react';
import { type DragEvent, useRef, useState } from 'react';
import { tellError } from '../components/tell';
import classes from './Chat.module.css';
import { IMAGE_TYPES, readImages } from './images';
import type { Chat } from './types';
import { canSee, useModel } from './useModel';

interface ComposerProps {
  chat: Chat;
  draft: string;
  running: boolean;
  onDraft: (text: string) => void;
  onSend: (text: string, images: string[]) => void;
  onStop: () => void;
}

/** Where one writes: Enter sends, Shift+Enter begins a line, Escape stops the answer. */
export function Composer({ chat, draft, running, onDraft, onSend, onStop }: ComposerProps) {
  const [images, setImages] = useState<string[]>([]);
  const [dragging, setDragging] = useState(false);
  const field = useRef<HTMLTextAreaElement>(null);
  const takesImages = canSee(useModel(chat.project, chat.panes[0]!.settings));
  const ready = !running && Boolean(draft.trim() || images.length);

  const send = () => {
    if (!ready) return;
    onSend(draft.trim(), images);
    setImages([]);
  };
  const take = async (files: Iterable<File>) => {
    try {
      const read = await readImages(files, images.length);
      setImages((before) => [...before, ...read]);
    } catch (error) {
      tellError(error, 'The image was not added');
    }
  };
  const onDrop = (event: DragEvent) => {
    event.preventDefault();
    setDragging(false);
    void take(event.dataTransfer.files);
  };
  const dropping = takesImages
    ? {
        onDragOver: (event: DragEvent) => {
          event.preventDefault();
          setDragging(true);
        },
        onDragLeave: () => setDragging(false),
        onDrop,
      }
    : {};
  return (
    <div className={classes.composer}>
      <div className={classes.box} data-dragging={dragging || undefined} {...dropping}>
        {images.length > 0 && (
          <Group gap="xs" p="sm" pb={0}>
            {images.map((image, index) => (
              <div key={image} style={{ position: 'relative' }}>
                <img src={image} alt={`To be sent, ${index + 1}`} height={72} style={{ borderRadius: 8 }} />
                <CloseButton
                  size="sm"
                  variant="filled"
                  pos="absolute"
                  top={2}
                  right={2}
                  aria-label={`Remove image ${index + 1}`}
                  onClick={() => setImages(images.filter((_, other) => other !== index))}
                />
              </div>
            ))}
          </Group>
        )}
        <Textarea
          ref={field}
          aria-label="Message"
          dir="auto"
          placeholder={addressed(chat.panes.length)}
          variant="unstyled"
          // Phones zoom into what is smaller.
          size="md"
          autosize
          minRows={1}
          maxRows={10}
          autoFocus
          px="md"
          pt={6}
          value={draft}
          onChange={(event) => onDraft(event.currentTarget.value)}
          onPaste={(event) => {
            const files = [...event.clipboardData.files].filter((file) => file.type.startsWith('image/'));
            if (takesImages && files.length) {
              event.preventDefault();
              void take(files);
            }
          }}
          onKeyDown={(event) => {
            // Enter that chooses among an input method's words is none of ours.
            if (event.key === 'Enter' && !event.shiftKey && !event.nativeEvent.isComposing) {
              event.preventDefault();
              send();
            }
          }}
        />
        <Group justify="space-between" px={8} pb={8} gap="xs" wrap="nowrap">
          {takesImages ? (
            <FileButton onChange={(files) => take(files)} accept={IMAGE_TYPES.join(',')} multiple>
              {(props) => (
                <Tooltip label="Add images">
                  <ActionIcon
                    {...props}
                    variant="subtle"
                    color="gray"
                    size="lg"
                    radius="xl"
                    aria-label="Add images"
                  >
                    <IconPhotoPlus size={19} stroke={1.7} />
                  </ActionIcon>
                </Tooltip>
              )}
            </FileButton>
          ) : (
            <span />
          )}
          <Group gap="sm" wrap="nowrap">
            <Text size="xs" c="dimmed" visibleFrom="sm">
              {running ? 'Esc stops' : 'Enter sends, Shift+Enter begins a line'}
            </Text>
            {running ? (
              <ActionIcon
                size="lg"
                radius="xl"
                variant="filled"
                color="dark"
                aria-label="Stop"
                onClick={() => onStop()}
              >
                <IconPlayerStopFilled size={16} />
              </ActionIcon>
            ) : (
              <ActionIcon
                size="lg"
                radius="xl"
                variant="filled"
                aria-label="Send"
                disabled={!ready}
                onClick={send}
              >
                <IconArrowUp size={19} />
              </ActionIcon>
            )}
          </Group>
        </Group>
      </div>
    </div>
  );
}

function addressed(columns: number): string {
  if (columns === 1) return 'Message';
  return columns === 2 ? 'Message to both columns' : `Message to all ${columns} columns`;
}
